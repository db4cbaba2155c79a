//! The laws of the log: what was synced comes back and nothing else; damage is never silent.

use std::fs::{self, File};
use std::path::Path;

use proptest::prelude::*;

use super::format::{RECORD_HEADER, SEGMENT_HEADER};
use super::*;
use crate::{Error, Result};

type Owned = (Offset, Kind, Vec<u8>);

const SMALL: LogOptions = LogOptions { segment_bytes: 200 };

fn read_all(directory: &Path, from: Offset, end: Option<Offset>) -> Result<Vec<Owned>> {
    let mut records = LogReader::open(directory).read_from(from, end)?;
    let mut all = Vec::new();
    while let Some(record) = records.next_record()? {
        assert_eq!(
            record.next.0,
            record.offset.0 + (RECORD_HEADER + record.payload.len()) as u64
        );
        all.push((record.offset, record.kind, record.payload.to_vec()));
    }
    Ok(all)
}

/// Appends groups with one sync each; returns the records and the ends of the groups.
fn write_groups(log: &Log, groups: &[Vec<(Kind, Vec<u8>)>]) -> (Vec<Owned>, Vec<u64>) {
    let (mut records, mut ends) = (Vec::new(), Vec::new());
    for group in groups {
        for (kind, payload) in group {
            let offset = log.append(*kind, payload).unwrap();
            records.push((offset, *kind, payload.clone()));
        }
        ends.push(log.sync().unwrap().0);
    }
    (records, ends)
}

fn last_segment(directory: &Path) -> std::path::PathBuf {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap()
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Event), Just(Kind::Value), Just(Kind::Plain)]
}

fn groups() -> impl Strategy<Value = Vec<Vec<(Kind, Vec<u8>)>>> {
    let payload = prop::collection::vec(any::<u8>(), 0..60);
    prop::collection::vec(prop::collection::vec((kind(), payload), 1..5), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_appended_comes_back_from_any_record_over_any_reopening(
        parts in prop::collection::vec(groups(), 1..4),
        small in any::<bool>(),
    ) {
        let home = tempfile::tempdir().unwrap();
        let options = if small { SMALL } else { LogOptions::default() };
        let mut expected = Vec::new();
        for part in &parts {
            let log = Log::open(home.path(), options).unwrap();
            prop_assert_eq!(log.torn_tail(), None);
            expected.extend(write_groups(&log, part).0);
            prop_assert_eq!(log.end(), log.synced());
        }
        let end = Log::open(home.path(), options).unwrap().end();
        for (index, (offset, ..)) in expected.iter().enumerate() {
            let read = read_all(home.path(), *offset, Some(end)).unwrap();
            prop_assert_eq!(&read[..], &expected[index..]);
            prop_assert_eq!(&read_all(home.path(), Offset(0), Some(*offset)).unwrap()[..], &expected[..index]);
        }
        prop_assert!(read_all(home.path(), end, None).unwrap().is_empty());
    }

    #[test]
    fn what_is_left_out_is_gone_and_the_rest_is_where_it_was(
        parts in prop::collection::vec(groups(), 1..4), untils in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let home = tempfile::tempdir().unwrap();
        let mut expected: Vec<Owned> = Vec::new();
        let mut gone = 0;
        for (part, until) in parts.iter().zip(untils.iter().cycle()) {
            let log = Log::open(home.path(), SMALL).unwrap();
            expected.extend(write_groups(&log, part).0);
            let until = Offset(until.index(log.end().0 as usize + 1) as u64);
            log.leave_out_plain(until).unwrap();
            // Whole closed segments before the offset, as far as they had been looked at.
            let mark = fs::read_to_string(home.path().join("compacted")).unwrap_or_default();
            gone = mark.parse().unwrap_or(gone);
            prop_assert!(gone <= until.0.max(gone));
            expected.retain(|(offset, kind, _)| *kind != Kind::Plain || offset.0 >= gone);
            prop_assert_eq!(&read_all(home.path(), Offset(0), None).unwrap(), &expected);
            for (index, (offset, ..)) in expected.iter().enumerate() {
                let read = read_all(home.path(), *offset, Some(log.end())).unwrap();
                prop_assert_eq!(&read[..], &expected[index..]);
                let before = read_all(home.path(), Offset(0), Some(*offset)).unwrap();
                prop_assert_eq!(&before[..], &expected[..index]);
            }
        }
    }

    #[test]
    fn cut_anywhere_exactly_the_whole_records_before_the_cut_remain(groups in groups(), cut in any::<prop::sample::Index>()) {
        let home = tempfile::tempdir().unwrap();
        let log = Log::open(home.path(), LogOptions::default()).unwrap();
        let (mut expected, _) = write_groups(&log, &groups);
        drop(log);
        let path = last_segment(home.path());
        let length = fs::metadata(&path).unwrap().len();
        let cut = SEGMENT_HEADER as u64 + cut.index((length as usize) - SEGMENT_HEADER + 1) as u64;
        File::options().write(true).open(&path).unwrap().set_len(cut).unwrap();

        let kept = cut - SEGMENT_HEADER as u64;
        expected.retain(|(offset, _, payload)| offset.0 + (RECORD_HEADER + payload.len()) as u64 <= kept);
        prop_assert_eq!(read_all(home.path(), Offset(0), None).unwrap(), expected.clone());
        let log = Log::open(home.path(), LogOptions::default()).unwrap();
        let torn = log.torn_tail().map_or(0, |torn| torn.bytes);
        prop_assert_eq!(log.end().0 + torn, kept);

        // Life goes on behind the cut.
        let offset = log.append(Kind::Plain, b"after").unwrap();
        let end = log.sync().unwrap();
        expected.push((offset, Kind::Plain, b"after".to_vec()));
        prop_assert_eq!(read_all(home.path(), Offset(0), Some(end)).unwrap(), expected);
    }

    #[test]
    fn a_changed_byte_is_an_error_or_costs_at_most_the_last_group_and_says_so(
        groups in groups(), at in any::<prop::sample::Index>(), bit in 0..8_u8, small in any::<bool>(),
    ) {
        let home = tempfile::tempdir().unwrap();
        let options = if small { SMALL } else { LogOptions::default() };
        let log = Log::open(home.path(), options).unwrap();
        let (expected, ends) = write_groups(&log, &groups);
        let end = log.end();
        drop(log);
        let mut files: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let path = &files[at.index(files.len())];
        let mut bytes = fs::read(path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(path, &bytes).unwrap();

        // A reader that knows the end never takes less, nor anything else.
        prop_assert!(read_all(home.path(), Offset(0), Some(end)).is_err());
        let opened = Log::open(home.path(), options);
        let read = read_all(home.path(), Offset(0), None);
        match (opened, read) {
            (Ok(log), Ok(read)) => {
                let before_last_group = ends.len().checked_sub(2).map_or(0, |index| ends[index]);
                prop_assert!(log.torn_tail().is_some());
                prop_assert!(log.end().0 >= before_last_group);
                prop_assert!(expected.starts_with(&read));
            }
            // A closed segment is only checked when it is read.
            (opened, read) => prop_assert!(read.is_err(), "{opened:?}"),
        }
    }

    #[test]
    fn a_hole_in_a_group_that_was_never_synced_is_a_torn_tail(groups in groups(), lost in groups(), hole in any::<prop::sample::Index>()) {
        let home = tempfile::tempdir().unwrap();
        let log = Log::open(home.path(), LogOptions::default()).unwrap();
        let (expected, _) = write_groups(&log, &groups);
        let synced = log.synced();
        for (kind, payload) in lost.iter().flatten() {
            log.append(*kind, payload).unwrap();
        }
        log.write().unwrap();
        drop(log);
        // The disk kept later blocks and lost an earlier one.
        let path = last_segment(home.path());
        let mut bytes = fs::read(&path).unwrap();
        let from = SEGMENT_HEADER + synced.0 as usize;
        let at = from + hole.index(bytes.len() - from);
        bytes[from..=at].fill(0);
        fs::write(&path, &bytes).unwrap();

        let log = Log::open(home.path(), LogOptions::default()).unwrap();
        prop_assert_eq!(log.end(), synced);
        prop_assert!(log.torn_tail().is_some());
        prop_assert_eq!(read_all(home.path(), Offset(0), None).unwrap(), expected);
    }
}

#[test]
fn segments_close_and_drop_and_the_end_survives() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), LogOptions::default()).unwrap();
    log.append(Kind::Event, b"one").unwrap();
    let closed = log.close_segment().unwrap();
    assert_eq!(
        log.close_segment().unwrap(),
        closed,
        "an empty segment is not closed"
    );
    let second = log.append(Kind::Event, b"two").unwrap();
    assert_eq!(second, closed);
    let end = log.sync().unwrap();
    assert_eq!(
        read_all(home.path(), Offset(0), Some(closed))
            .unwrap()
            .len(),
        1
    );

    assert_eq!(log.drop_before(Offset(closed.0 - 1)).unwrap(), 0);
    assert_eq!(log.drop_before(end).unwrap(), 1);
    assert_eq!(LogReader::open(home.path()).first().unwrap(), closed);
    assert!(matches!(
        read_all(home.path(), Offset(0), None),
        Err(Error::LogRange { .. })
    ));
    assert_eq!(
        read_all(home.path(), closed, None).unwrap(),
        [(second, Kind::Event, b"two".to_vec())]
    );
    drop(log);
    let log = Log::open(home.path(), LogOptions::default()).unwrap();
    assert_eq!(log.end(), end);
    log.close_segment().unwrap();
    log.drop_before(end).unwrap();
    drop(log);
    assert_eq!(
        Log::open(home.path(), LogOptions::default()).unwrap().end(),
        end
    );
}

#[test]
fn a_failed_write_poisons_the_log_until_it_is_reopened() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), LogOptions::default()).unwrap();
    log.append(Kind::Event, b"kept").unwrap();
    let synced = log.sync().unwrap();
    log.append(Kind::Event, b"lost").unwrap();
    log.replace_file(File::open(last_segment(home.path())).unwrap()); // not open for writing
    assert!(matches!(
        log.sync(),
        Err(Error::Io {
            operation: "write",
            ..
        })
    ));
    assert!(matches!(
        log.append(Kind::Event, b"x"),
        Err(Error::LogPoisoned { .. })
    ));
    assert!(matches!(log.sync(), Err(Error::LogPoisoned { .. })));
    assert!(matches!(
        log.close_segment(),
        Err(Error::LogPoisoned { .. })
    ));
    assert_eq!(log.synced(), synced);
    drop(log);
    assert_eq!(
        Log::open(home.path(), LogOptions::default()).unwrap().end(),
        synced
    );
}

#[test]
fn too_large_a_record_is_refused_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), LogOptions::default()).unwrap();
    let error = log
        .append(Kind::Plain, &vec![0; MAX_PAYLOAD + 1])
        .unwrap_err();
    assert!(matches!(
        error,
        Error::RecordTooLarge {
            limit: MAX_PAYLOAD,
            ..
        }
    ));
    log.append(Kind::Plain, &vec![7; MAX_PAYLOAD]).unwrap();
    let end = log.sync().unwrap();
    assert_eq!(
        read_all(home.path(), Offset(0), Some(end)).unwrap()[0]
            .2
            .len(),
        MAX_PAYLOAD
    );
}

#[test]
fn a_missing_segment_and_an_offset_past_the_end_are_errors() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), LogOptions::default()).unwrap();
    for payload in [b"one", b"two", b"six"] {
        log.append(Kind::Event, payload).unwrap();
        log.close_segment().unwrap();
    }
    let end = log.end();
    assert!(matches!(
        read_all(home.path(), Offset(end.0 + 1), None),
        Err(Error::LogRange { .. })
    ));
    let mut files: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    fs::remove_file(&files[1]).unwrap();
    assert!(matches!(
        Log::open(home.path(), LogOptions::default()),
        Err(Error::LogCorrupt { .. })
    ));
    assert!(read_all(home.path(), Offset(0), Some(end)).is_err());
}

#[test]
fn a_reader_beside_a_living_writer_sees_a_growing_prefix() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(
        home.path(),
        LogOptions {
            segment_bytes: 4096,
        },
    )
    .unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for number in 0..5_000_u64 {
                log.append(Kind::Event, &number.to_le_bytes()).unwrap();
                if number % 7 == 0 {
                    log.write().unwrap();
                }
                if number % 512 == 0 {
                    log.sync().unwrap();
                }
            }
            log.sync().unwrap()
        });
        let mut seen = 0;
        while !writer.is_finished() {
            let read = read_all(home.path(), Offset(0), None).unwrap();
            assert!(read.len() >= seen);
            seen = read.len();
            for (number, (_, _, payload)) in read.iter().enumerate() {
                assert_eq!(payload, &(number as u64).to_le_bytes());
            }
        }
        let end = writer.join().unwrap();
        assert_eq!(
            read_all(home.path(), Offset(0), Some(end)).unwrap().len(),
            5_000
        );
    });
}
