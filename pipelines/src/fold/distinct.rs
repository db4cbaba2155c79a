//! `count_distinct` and `approx_count_distinct`: how many different inputs. Exact up to a
//! bound; beyond it a HyperLogLog for good, which depends on the set of inputs alone.

use granary_registry::{EventTime, Value};
use simple_hll::HyperLogLog;

use super::events::NO_HASH;
use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Registers of a sketch as a power of two: 4,096, for a standard error of 1.6 %.
const PRECISION: usize = 12;
const REGISTERS: usize = 1 << PRECISION;
/// The largest rank that a register can hold.
const MOST_RANK: u8 = (64 - PRECISION + 1) as u8;
/// Hashes that are added before they are sorted.
const BATCH: usize = 4096;

const EXACT: u64 = 0;
const SPARSE_SKETCH: u64 = 1;
const DENSE_SKETCH: u64 = 2;

/// Collects hashes of inputs.
#[derive(Clone, Debug)]
pub(crate) struct Distinct {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of hashed inputs.
    pub input: usize,
    /// How many are counted exactly.
    pub bound: usize,
}

/// The inputs so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DistinctState {
    /// Their hashes in order.
    Exact(Vec<u64>),
    /// More of them than the bound.
    Estimated(HyperLogLog<PRECISION>),
}

impl Default for DistinctState {
    fn default() -> Self {
        DistinctState::Exact(Vec::new())
    }
}

impl Distinct {
    fn add(&self, state: &mut DistinctState, hashes: &mut Vec<u64>) {
        match state {
            DistinctState::Exact(held) => {
                held.append(hashes);
                held.sort_unstable();
                held.dedup();
                if held.len() > self.bound {
                    *state = DistinctState::Estimated(sketch(held));
                }
            }
            DistinctState::Estimated(sketch) => {
                for hash in hashes.drain(..) {
                    sketch.add_hash(hash);
                }
            }
        }
    }
}

fn sketch(hashes: &[u64]) -> HyperLogLog<PRECISION> {
    let mut sketch = HyperLogLog::new();
    for &hash in hashes {
        sketch.add_hash(hash);
    }
    sketch
}

impl Aggregate for Distinct {
    type State = DistinctState;

    fn update(&self, state: &mut DistinctState, events: &Events<'_>) {
        let hashes = events.hashes(self.input);
        let mut fresh = Vec::new();
        for row in events.selected(self.filter) {
            if hashes[row] != NO_HASH {
                fresh.push(hashes[row]);
            }
            if fresh.len() == BATCH {
                self.add(state, &mut fresh);
            }
        }
        self.add(state, &mut fresh);
    }

    fn merge(&self, into: &mut DistinctState, from: &DistinctState) {
        match from {
            DistinctState::Exact(hashes) => self.add(into, &mut hashes.clone()),
            DistinctState::Estimated(other) => {
                if let DistinctState::Exact(held) = into {
                    *into = DistinctState::Estimated(sketch(held));
                }
                if let DistinctState::Estimated(held) = into {
                    held.merge(other);
                }
            }
        }
    }

    fn finalize(&self, state: &DistinctState, _: EventTime) -> Value {
        Value::Int(match state {
            DistinctState::Exact(hashes) => hashes.len() as i64,
            DistinctState::Estimated(sketch) => sketch.count() as i64,
        })
    }

    /// Two bits for the form, so that another sketch can be told from this one.
    fn encode(&self, state: &DistinctState, _: i64, out: &mut Sink) {
        let sketch = match state {
            DistinctState::Exact(hashes) => {
                out.unsigned((hashes.len() as u64) << 2 | EXACT);
                for hash in hashes {
                    out.row.extend_from_slice(&hash.to_le_bytes());
                }
                return;
            }
            DistinctState::Estimated(sketch) => sketch.get_registers(),
        };
        let taken = sketch.iter().filter(|&&rank| rank > 0).count();
        if taken * 2 >= REGISTERS {
            out.unsigned((REGISTERS as u64) << 2 | DENSE_SKETCH);
            out.row.extend_from_slice(sketch);
            return;
        }
        out.unsigned((taken as u64) << 2 | SPARSE_SKETCH);
        let mut next = 0;
        for (index, &rank) in sketch.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            out.unsigned((index - next) as u64);
            out.row.push(rank);
            next = index + 1;
        }
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<DistinctState, DecodeError> {
        let header = bytes.unsigned()?;
        let (form, length) = (header & 3, header >> 2);
        if form == EXACT {
            if length > self.bound as u64 {
                return Err(invalid("number of hashes", length));
            }
            let hashes = (0..length).map(|_| Ok(u64::from_le_bytes(bytes.fixed()?)));
            return Ok(DistinctState::Exact(hashes.collect::<Result<_, _>>()?));
        }
        let mut registers = vec![0; REGISTERS];
        if form > DENSE_SKETCH || length > REGISTERS as u64 {
            return Err(invalid("sketch", header));
        }
        let mut next = 0;
        for _ in 0..length {
            if form == SPARSE_SKETCH {
                next += bytes.unsigned()?.min(REGISTERS as u64) as usize;
            }
            let rank = bytes.byte()?;
            match registers.get_mut(next) {
                Some(register) if rank <= MOST_RANK => *register = rank,
                _ => return Err(invalid("register", u64::from(rank))),
            }
            next += 1;
        }
        Ok(DistinctState::Estimated(HyperLogLog::with_registers(
            registers,
        )))
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }

    fn is_estimate(&self, state: &DistinctState) -> bool {
        matches!(state, DistinctState::Estimated(_))
    }
}

fn invalid(what: &'static str, found: u64) -> DecodeError {
    DecodeError::Invalid { what, found }
}
