use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::failure::{FailureKind, TaskFailure};

fn read_all(bytes: &[u8], cut: usize) -> Result<(Vec<Answer>, bool), NoAnswer> {
    let mut reader = AnswerReader::new();
    let mut answers = Vec::new();
    for piece in bytes.chunks(cut.max(1)) {
        reader.extend(piece);
        while let Some(answer) = reader.read()? {
            answers.push(answer);
        }
    }
    Ok((answers, reader.is_over()))
}

fn classes() -> Vec<ErrorClass> {
    vec![
        ErrorClass::Throttled { retry_after: None },
        ErrorClass::Throttled { retry_after: Some(Duration::from_millis(1500)) },
        ErrorClass::Transient,
        ErrorClass::NotFound,
        ErrorClass::WorkerCrashed,
        ErrorClass::TimedOut,
        ErrorClass::Denied,
        ErrorClass::Misconfigured,
        ErrorClass::Invalid,
        ErrorClass::Cancelled,
        ErrorClass::Internal,
    ]
}

fn stopped() -> Stopped {
    let failure = |text: &str| TaskFailure::new(FailureKind::Signal(9), text);
    Stopped { failed: vec![(3, failure("a"))], suspects: vec![(4, failure("b")), (5, failure("c"))] }
}

#[test]
fn errors_of_every_class_come_back() {
    for class in classes() {
        for hint in [None, Some("mend")] {
            let mut error = BackendError::new(class, "what").with_source("why");
            if let Some(hint) = hint {
                error = error.with_hint(hint);
            }
            let mut bytes = PREAMBLE.to_vec();
            Answer::append_refused(&mut bytes, &error);
            let (answers, over) = read_all(&bytes, 1).unwrap();
            let [Answer::Refused(got)] = &answers[..] else { panic!("{answers:?}") };
            assert_eq!((got.class(), got.hint(), over), (class, hint, true));
            assert_eq!(got.to_string(), "what: why");
        }
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    let long = "ä".repeat(MAX_TEXT);
    let mut bytes = PREAMBLE.to_vec();
    Answer::append_refused(
        &mut bytes,
        &BackendError::new(ErrorClass::Invalid, long.clone()).with_hint(format!("x{long}")),
    );
    let (answers, _) = read_all(&bytes, usize::MAX).unwrap();
    let [Answer::Refused(got)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(got.to_string(), "ä".repeat(MAX_TEXT / 2));
    assert_eq!(got.hint().unwrap().len(), MAX_TEXT - 1);
}

#[test]
fn an_end_comes_back_and_nothing_may_follow() {
    for stopped in [None, Some(stopped())] {
        let usage = Usage { compute: Duration::from_millis(3), cold: true, ..Usage::default() };
        let mut bytes = PREAMBLE.to_vec();
        Answer::append_end(&mut bytes, stopped.as_ref(), &usage).unwrap();
        let (answers, over) = read_all(&bytes, 5).unwrap();
        let [Answer::End { stopped: got, usage: used }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((got, used, over), (&stopped, &usage, true));
        Answer::append_alive(&mut bytes);
        assert!(matches!(read_all(&bytes, usize::MAX), Err(NoAnswer::Malformed(_))));
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    assert_eq!(read_all(b"<html>", 2).unwrap_err(), NoAnswer::Foreign);
    assert_eq!(read_all(b"RWA\x02", 2).unwrap_err(), NoAnswer::Version(2));
    let unknown = [&PREAMBLE[..], &[0, 0, 0, 0, 99]].concat();
    assert!(matches!(read_all(&unknown, 2), Err(NoAnswer::Malformed(_))));
}

#[test]
fn a_lying_length_takes_no_memory() {
    let mut reader = AnswerReader::new();
    reader.extend(&PREAMBLE);
    reader.extend(&(MAX_BODY as u32).to_le_bytes());
    reader.extend(&[RESULTS]);
    assert!(reader.read().unwrap().is_none());
    assert!(reader.frames.room().capacity() <= 128 << 10);
    let mut reader = AnswerReader::new();
    reader.extend(&PREAMBLE);
    reader.extend(&1_u32.to_le_bytes());
    reader.extend(&[STARTED]);
    assert!(matches!(reader.read(), Err(NoAnswer::Malformed(_))), "it has no body");
}

/// Another program of another time reads these bytes: a change needs another [`VERSION`].
#[test]
fn the_bytes_of_this_version() {
    let mut bytes = PREAMBLE.to_vec();
    Answer::append_started(&mut bytes);
    Answer::append_alive(&mut bytes);
    Answer::append_results(
        &mut bytes,
        &ResultBatch { offset: 1, count: 2, records: Bytes::from_static(b"ab") },
    );
    Answer::append_log(
        &mut bytes,
        &LogLine { offset: 1, count: 2, stderr: true, bytes: Bytes::from_static(b"c") },
    );
    let mut expected = b"RWA\x01".to_vec();
    expected.extend([0, 0, 0, 0, 1]);
    expected.extend([0, 0, 0, 0, 2]);
    expected.extend([10, 0, 0, 0, 3, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b']);
    expected.extend([10, 0, 0, 0, 4, 1, 0, 0, 0, 2, 0, 0, 0, 1, b'c']);
    assert_eq!(bytes, expected);

    let mut end = Vec::new();
    Answer::append_end(&mut end, None, &Usage { cold: true, ..Usage::default() }).unwrap();
    // No stop; five durations of zero seconds and nanoseconds; cold.
    assert_eq!(end, [12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    let mut refused = Vec::new();
    let class = ErrorClass::Throttled { retry_after: Some(Duration::from_secs(1)) };
    Answer::append_refused(&mut refused, &BackendError::new(class, "no").with_hint("h"));
    let mut expected = vec![17, 0, 0, 0, 6, 1, 3];
    expected.extend([0xe8, 3, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'n', b'o', b'h']);
    assert_eq!(refused, expected);
}

proptest! {
    #[test]
    fn results_and_logs_come_back_however_they_arrive(
        batches in vec((any::<u32>(), 1..u32::MAX, vec(any::<u8>(), 0..300)), 0..6),
        long in 0..3 * MAX_LOG,
        cut in 1_usize..5000,
    ) {
        let mut bytes = PREAMBLE.to_vec();
        for (offset, count, records) in &batches {
            let records = Bytes::from(records.clone());
            Answer::append_results(&mut bytes, &ResultBatch { offset: *offset, count: *count, records });
        }
        let line = LogLine { offset: 1, count: 2, stderr: true, bytes: Bytes::from(vec![b'x'; long]) };
        Answer::append_log(&mut bytes, &line);
        Answer::append_end(&mut bytes, None, &Usage::default()).unwrap();
        let (answers, over) = read_all(&bytes, cut).unwrap();
        prop_assert!(over);
        let mut logged = 0;
        let mut got = Vec::new();
        for answer in answers {
            match answer {
                Answer::Results(batch) => got.push((batch.offset, batch.count, batch.records.to_vec())),
                Answer::Log(line) => {
                    prop_assert!((line.offset, line.count, line.stderr) == (1, 2, true));
                    prop_assert!(line.bytes.len() <= MAX_LOG);
                    logged += line.bytes.len();
                }
                Answer::End { stopped: None, .. } => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(got, batches);
        prop_assert_eq!(logged, long);
    }

    #[test]
    fn part_of_an_answer_is_not_over(at: proptest::sample::Index) {
        let mut bytes = PREAMBLE.to_vec();
        Answer::append_started(&mut bytes);
        Answer::append_end(&mut bytes, Some(&stopped()), &Usage::default()).unwrap();
        let cut = at.index(bytes.len());
        let (_, over) = read_all(&bytes[..cut], 7).unwrap();
        prop_assert!(!over);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200), kind in 0_u8..8) {
        let _ = read_all(&bytes, 3);
        let _ = read_all(&[&PREAMBLE[..], &bytes].concat(), 3);
        let mut framed = PREAMBLE.to_vec();
        append_frame(&mut framed, kind, |out| out.extend_from_slice(&bytes));
        let _ = read_all(&framed, 3);
    }
}
