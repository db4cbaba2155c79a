//! Runs the whole thing: chunks of users are drawn and encoded on all threads and
//! written in order by whichever thread brings the next one. Called by the
//! `synth` subcommand.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::chunk;
use super::csv::push_instant;
use super::customer::MOST_USERS;
use super::files::{Encoded, Encoder, File, FinishedTable, TableFile, open_tables};
use super::history::World;
use super::plan::{Error, Open, Plan, Progress, Summary};
use super::truth::{Tally, Truth};

/// Users per chunk: about 245,000 events, one row group.
const CHUNK_USERS: u64 = 1_000;
/// Chunks being drawn or waiting for their turn; with some 60 MB for each this
/// bounds the memory, whatever the number of users and threads.
const CHUNKS_IN_FLIGHT: u64 = 8;

/// 1980-01-01 and the end of the year 9999.
const EARLIEST_END: i64 = 315_532_800_000_000;
const LATEST_END: i64 = 253_402_300_799_999_999;

/// Makes the four tables and `truth.json`, on the rayon pool of the caller.
///
/// `open` is asked for `user_table.parquet`, `event_logs.csv` and so on; the
/// outputs are committed once all are complete, `truth.json` last.
pub fn generate(
    plan: &Plan,
    open: Open<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Summary, Error> {
    check(plan)?;
    let (files, encoder) = open_tables(plan.formats, open)?;
    let run = Run {
        plan,
        world: World::new(),
        encoder,
        progress,
        turn: Condvar::new(),
        line: Mutex::new(Line {
            files,
            tally: Tally::default(),
            taken: 0,
            written: 0,
            waiting: BTreeMap::new(),
            error: None,
            abandoned: false,
        }),
    };
    let threads = rayon::current_num_threads().min(CHUNKS_IN_FLIGHT as usize);
    rayon::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|_| run.work());
        }
    });
    let line = run.line.into_inner();
    let line = line.unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = line.error {
        return Err(error);
    }
    finish(plan, line.files, &line.tally, open)
}

fn check(plan: &Plan) -> Result<(), Error> {
    if plan.users > MOST_USERS {
        return Err(Error::TooManyUsers {
            users: plan.users,
            most: MOST_USERS,
        });
    }
    if !(EARLIEST_END..=LATEST_END).contains(&plan.end.0) {
        return Err(Error::End { end: plan.end.0 });
    }
    Ok(())
}

/// Completes all files, then commits them.
fn finish(
    plan: &Plan,
    files: Vec<TableFile>,
    tally: &Tally,
    open: Open<'_>,
) -> Result<Summary, Error> {
    let mut instant = Vec::new();
    push_instant(&mut instant, plan.end.0);
    let instant = String::from_utf8_lossy(&instant).into_owned() + "Z";
    let rows = files.iter().map(|file| (file.table(), file.rows()));
    let truth = Truth::new(plan, instant, tally, rows);
    let mut truth_file = File::open(open, "truth.json".to_owned())?;
    truth_file.put(&truth.to_json())?;
    let finished = files.into_iter().map(TableFile::finish);
    let finished = finished.collect::<Result<Vec<_>, Error>>()?;
    let tables = finished.into_iter().map(FinishedTable::commit);
    let tables = tables.collect::<Result<_, Error>>()?;
    truth_file.commit()?;
    Ok(Summary {
        tables,
        churn_share: tally.churn_share(),
        oracle_roc_auc: tally.oracle_roc_auc(),
    })
}

struct Run<'a> {
    plan: &'a Plan,
    world: World,
    encoder: Encoder,
    progress: &'a (dyn Fn(Progress) + Sync),
    line: Mutex<Line>,
    /// Told when a chunk has been written, or the run has failed.
    turn: Condvar,
}

/// Chunks in the order of their users.
struct Line {
    files: Vec<TableFile>,
    tally: Tally,
    taken: u64,
    written: u64,
    waiting: BTreeMap<u64, Drawn>,
    error: Option<Error>,
    /// A thread panicked; its chunk will never come.
    abandoned: bool,
}

struct Drawn {
    tables: Vec<Encoded>,
    tally: Tally,
}

impl Run<'_> {
    fn work(&self) {
        let _watch = PanicWatch(self);
        while let Some(number) = self.take() {
            let drawn = self.draw(number);
            self.hand_in(number, drawn);
        }
    }

    /// The next chunk to draw; waits while too many are in flight. The chunk that
    /// is waited for is being drawn by a running thread, which waits for nothing.
    fn take(&self) -> Option<u64> {
        let mut line = self.lock();
        let chunks = self.plan.users.div_ceil(CHUNK_USERS);
        while line.error.is_none() && !line.abandoned && line.taken < chunks {
            if line.taken < line.written + CHUNKS_IN_FLIGHT {
                line.taken += 1;
                return Some(line.taken - 1);
            }
            line = (self.turn.wait(line)).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn draw(&self, number: u64) -> Result<Drawn, Error> {
        let first = number * CHUNK_USERS;
        let users = first..(first + CHUNK_USERS).min(self.plan.users);
        let chunk = chunk::draw(self.plan, &self.world, users)
            .map_err(|source| Error::Columns { first, source })?;
        let tables = chunk.tables.into_iter().enumerate();
        let tables = tables
            .map(|(table, batch)| self.encoder.encode(table, number as usize, batch))
            .collect::<Result<_, Error>>()?;
        Ok(Drawn {
            tables,
            tally: chunk.tally,
        })
    }

    /// Writes what can be written now that this chunk is there.
    fn hand_in(&self, number: u64, drawn: Result<Drawn, Error>) {
        let mut line = self.lock();
        let outcome = drawn.and_then(|drawn| {
            line.waiting.insert(number, drawn);
            line.advance(self.plan.users, self.progress)
        });
        if let Err(error) = outcome {
            line.error.get_or_insert(error);
        }
        drop(line);
        self.turn.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // `PanicWatch` tells of panics; the scope hands them on.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the other threads if this one panics, so that none waits for ever.
struct PanicWatch<'a>(&'a Run<'a>);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().abandoned = true;
            self.0.turn.notify_all();
        }
    }
}

impl Line {
    fn advance(&mut self, users: u64, progress: &dyn Fn(Progress)) -> Result<(), Error> {
        while self.error.is_none()
            && let Some(drawn) = self.waiting.remove(&self.written)
        {
            for (file, encoded) in self.files.iter_mut().zip(drawn.tables) {
                file.append(encoded)?;
            }
            self.tally.merge(&drawn.tally);
            self.written += 1;
            progress(Progress {
                users_done: (self.written * CHUNK_USERS).min(users),
                users,
                events: self.files[chunk::EVENT_LOGS].rows(),
            });
        }
        Ok(())
    }
}
