//! What comes back is what was sent, each in its place.

use bytes::Bytes;
use rustwren_core::invoker::Payload;
use rustwren_core::storage::Key;

use super::{Subject, assert_echoed, elements, invocation, records, variant};

/// Every element has its result, in its place, exactly once, and no report comes after the reply.
pub async fn results_come_back(subject: &Subject) {
    for count in [1, 2, 10, 1000] {
        subject.assert_echo(&subject.functions.echo, &elements(count)).await;
    }
    // In a process that works on several at once.
    let job = variant(&subject.functions.echo, "at-once", |job| job.concurrency = 4);
    let wanted = elements(200);
    let mut sent = invocation(&job, &wanted);
    sent.concurrency = 4;
    let (_, outcomes) = subject.run(sent).await;
    assert_echoed(&outcomes, &wanted);
}

/// Elements without bytes are elements.
pub async fn empty_elements(subject: &Subject) {
    subject.assert_echo(&subject.functions.echo, &vec![Vec::new(); 10]).await;
}

/// Inputs and outputs may be as large as the limits say, and larger ones go through storage.
pub async fn large_payloads(subject: &Subject) {
    const MOST: usize = 3 << 20;
    let limits = subject.invoker.limits();
    // Room for the lengths.
    let room = limits.max_inline_input.min(MOST).saturating_sub(64).max(1);
    let one = vec![pattern(room)];
    subject.assert_echo(&subject.functions.echo, &one).await;
    // Together they are more than fits a frame or a buffer, and not all the same.
    let many: Vec<Vec<u8>> = (0..16).map(|k| pattern(room / 17 + k)).collect();
    subject.assert_echo(&subject.functions.echo, &many).await;
}

/// Inputs may be a range of an object.
pub async fn stored_inputs(subject: &Subject) {
    let wanted: Vec<Vec<u8>> = (0..8).map(|k| pattern(100_000 + k)).collect();
    let inputs = records(&wanted);
    let key = format!("jobs/{}/in/suite-{:016x}", subject.functions.echo.id, fastrand::u64(..));
    let object = Bytes::from([b"before".as_slice(), &inputs, b"behind"].concat());
    let key = Key::new(key).expect("the suite makes valid keys");
    subject.storage.put(&key, object).await.expect("the suite's storage can be written");
    let mut sent = invocation(&subject.functions.echo, &wanted);
    sent.inputs = Payload::Stored { key: key.to_string(), offset: 6, len: inputs.len() as u64 };
    let (_, outcomes) = subject.run(sent).await;
    assert_echoed(&outcomes, &wanted);
    subject.storage.delete(&key).await.expect("the suite's storage can be cleaned");
}

fn pattern(len: usize) -> Vec<u8> {
    crate::storage_suite::pattern(len).to_vec()
}
