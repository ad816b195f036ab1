use proptest::prelude::*;

use super::super::frame::FrameBuffer;
use super::*;
use crate::entry::{Call, Entry, Target};

fn spec() -> JobSpec {
    JobSpec {
        id: "job-1".to_owned(),
        label: "Label".to_owned(),
        entry: Entry {
            image: ImageId([7; 32]),
            target: Target::Named { name: "a::b".to_owned(), call: Call::Map },
        },
        shared: None,
        task_timeout: Some(std::time::Duration::from_millis(1500)),
        concurrency: 3,
    }
}

fn only<T>(
    bytes: &[u8],
    limit: impl Fn(u8) -> Option<usize>,
    decode: impl Fn(Frame) -> Result<T, Malformed>,
) -> T {
    let mut frames = FrameBuffer::new();
    frames.extend(bytes);
    let frame = frames.next(&limit).unwrap().unwrap();
    assert!(frames.is_empty());
    decode(frame).unwrap()
}

#[test]
fn every_message_comes_back() {
    let mut out = Vec::new();
    Down::append_job(&mut out, 9, &spec(), 3).unwrap();
    out.extend(b"abc");
    let job = Down::Job { key: 9, spec: Box::new(spec()), shared: Bytes::from_static(b"abc") };
    assert_eq!(only(&out, Down::limit, Down::decode), job);

    let mut run =
        Run { call: 1, job: 2, first: 3, attempt: 4, count: 5, concurrency: 6, inputs: Bytes::new() };
    out.clear();
    Down::append_run(&mut out, &run, 2);
    out.extend(b"xy");
    run.inputs = Bytes::from_static(b"xy");
    assert_eq!(only(&out, Down::limit, Down::decode), Down::Run(run));

    out.clear();
    Down::append_hand_back(&mut out, 8);
    assert_eq!(only(&out, Down::limit, Down::decode), Down::HandBack { call: 8 });
    out.clear();
    Down::append_forget(&mut out, 8);
    assert_eq!(only(&out, Down::limit, Down::decode), Down::Forget { key: 8 });
    out.clear();
    Down::append_shutdown(&mut out);
    assert_eq!(only(&out, Down::limit, Down::decode), Down::Shutdown);

    let hello = Hello { protocol: PROTOCOL, image: ImageId([1; 32]), pid: 77 };
    out.clear();
    Up::append_hello(&mut out, &hello).unwrap();
    assert_eq!(only(&out, Up::limit, Up::decode), Up::Hello(hello));
    out.clear();
    Up::append_refused(&mut out, 5, "no such function");
    assert_eq!(
        only(&out, Up::limit, Up::decode),
        Up::Refused { call: 5, message: "no such function".to_owned() }
    );
    out.clear();
    Up::append_log(&mut out, 5, 6, 7, true, b"line\n");
    let log = Up::Log { call: 5, offset: 6, count: 7, stderr: true, bytes: Bytes::from_static(b"line\n") };
    assert_eq!(only(&out, Up::limit, Up::decode), log);
    out.clear();
    Up::append_done(&mut out, 5, 6);
    assert_eq!(only(&out, Up::limit, Up::decode), Up::Done { call: 5, compute: 6 });
    out.clear();
    Up::append_returned(&mut out, 5, 6);
    assert_eq!(only(&out, Up::limit, Up::decode), Up::Returned { call: 5, from: 6 });

    out.clear();
    let mut open = OpenResults::begin(&mut out, 5, 10);
    open.push(&mut out, b"ab", 1);
    assert!(open.takes(5, 11) && !open.takes(5, 12) && !open.takes(6, 11));
    open.push(&mut out, b"c", 1);
    open.finish(&mut out, 1);
    out.extend(b"d");
    let results = Up::Results { call: 5, offset: 10, count: 2, records: Bytes::from_static(b"abcd") };
    assert_eq!(only(&out, Up::limit, Up::decode), results);
}

#[test]
fn a_long_refusal_is_cut_between_characters() {
    let mut out = Vec::new();
    Up::append_refused(&mut out, 1, &"ä".repeat(MAX_REFUSAL));
    let Up::Refused { message, .. } = only(&out, Up::limit, Up::decode) else { panic!("not a refusal") };
    assert_eq!(message, "ä".repeat(MAX_REFUSAL / 2));
}

#[test]
fn a_lying_length_takes_no_memory() {
    let mut frames = FrameBuffer::new();
    frames.extend(&(MAX_BODY as u32).to_le_bytes());
    frames.extend(&[RUN]);
    for _ in 0..1000 {
        assert_eq!(frames.next(Down::limit), Ok(None));
        assert!(frames.room().capacity() <= 128 << 10);
    }
    let mut frames = FrameBuffer::new();
    frames.extend(&(MAX_BODY as u32 + 1).to_le_bytes());
    frames.extend(&[RUN]);
    assert!(frames.next(Down::limit).is_err());
    let mut frames = FrameBuffer::new();
    frames.extend(&(MAX_SMALL_BODY as u32 + 1).to_le_bytes());
    frames.extend(&[HAND_BACK]);
    assert!(frames.next(Down::limit).is_err());
}

proptest! {
    #[test]
    fn any_body_is_read_without_panic(kind: u8, body: Vec<u8>) {
        let _ = Down::decode(Frame { kind, body: Bytes::from(body.clone()) });
        let _ = Up::decode(Frame { kind, body: Bytes::from(body.clone()) });
        let _ = Down::decode(Frame { kind: kind % 6, body: Bytes::from(body.clone()) });
        let _ = Up::decode(Frame { kind: 0x80 + kind % 7, body: Bytes::from(body) });
    }

    #[test]
    fn any_stream_is_cut_without_panic_and_within_memory(pieces: Vec<Vec<u8>>) {
        let mut frames = FrameBuffer::new();
        let mut arrived = 0;
        for piece in pieces {
            arrived += piece.len();
            frames.extend(&piece);
            while let Ok(Some(frame)) = frames.next(Up::limit) {
                prop_assert!(frame.body.len() <= arrived);
            }
            prop_assert!(frames.room().capacity() <= 2 * arrived + (128 << 10));
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive(bodies: Vec<Vec<u8>>, cut in 1_usize..50) {
        let mut stream = Vec::new();
        for (i, body) in bodies.iter().enumerate() {
            Up::append_log(&mut stream, i as u64, 0, 1, false, body);
        }
        let mut frames = FrameBuffer::new();
        let mut got = Vec::new();
        for piece in stream.chunks(cut) {
            frames.extend(piece);
            while let Some(frame) = frames.next(Up::limit).unwrap() {
                let Up::Log { call, bytes, .. } = Up::decode(frame).unwrap() else { panic!("not a log") };
                prop_assert_eq!(call, got.len() as u64);
                got.push(bytes.to_vec());
            }
        }
        prop_assert_eq!(got, bodies);
    }
}
