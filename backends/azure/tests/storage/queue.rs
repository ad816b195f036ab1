//! The contract of queues.

use std::time::Duration;

use rustwren_azure::client::Credentials;
use rustwren_azure::queue::{MAX_BODY, Queue, SendOptions};
use rustwren_core::error::ErrorClass;
use rustwren_testkit::standins::{Azurite, Front, Verdict};

use crate::place;

const LONG: Duration = Duration::from_mins(5);
const NOW: SendOptions = SendOptions { delay: Duration::ZERO, keep: None };

fn key() -> Credentials {
    Credentials::Key(Azurite::KEY.to_owned())
}

/// One test, since each needs a server of its own.
#[tokio::test]
async fn queues_keep_their_contract() {
    let azurite = Azurite::start();
    for credentials in [key(), Credentials::Sas(azurite.sas("2125-01-01T00:00:00Z"))] {
        let queue = Queue::open(&place::access(azurite.queue_endpoint(), credentials), "tasks-1").unwrap();
        queue.create().await.unwrap();
        queue.create().await.unwrap();
        messages_travel(&queue).await;
        messages_come_again(&queue).await;
        receipts_are_for_one_receiver(&queue).await;
        bounds(&queue).await;
        queue.remove().await.unwrap();
        queue.remove().await.unwrap();
        let error = queue.receive(1, LONG).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
        assert!(error.hint().unwrap_or_default().contains("queue create"), "{:?}", error.hint());
    }
    an_answer_that_is_lost_is_no_lost_message(&azurite).await;
    mistakes(&azurite).await;
}

async fn messages_travel(queue: &Queue) {
    assert!(queue.receive(1, LONG).await.unwrap().is_empty());
    let bodies: [&[u8]; 4] = [b"", b"plain", &[0, 255, 13, 10], "<&\u{e9}>".as_bytes()];
    for body in bodies {
        queue.send(body, NOW).await.unwrap();
    }
    assert_eq!(queue.length().await.unwrap(), 4);
    let mut peeked: Vec<_> = queue.peek(9).await.unwrap().iter().map(|seen| seen.body().unwrap()).collect();
    let mut messages = queue.receive(9, LONG).await.unwrap();
    let mut got: Vec<_> = messages.iter().map(|message| message.body().unwrap()).collect();
    let mut sent: Vec<_> = bodies.iter().map(|body| bytes::Bytes::from_static(body)).collect();
    for list in [&mut peeked, &mut got, &mut sent] {
        list.sort();
    }
    assert_eq!((&peeked, &got), (&sent, &sent));
    assert!(messages.iter().all(|message| message.count == 1 && message.inserted.is_some()));
    // What is received is hidden, and still there.
    assert!(queue.receive(9, LONG).await.unwrap().is_empty());
    assert!(queue.peek(9).await.unwrap().is_empty());
    assert_eq!(queue.length().await.unwrap(), 4);
    for message in messages.drain(..) {
        assert!(queue.delete(&message).await.unwrap());
        assert!(!queue.delete(&message).await.unwrap(), "a second time");
    }
    assert_eq!(queue.length().await.unwrap(), 0);
}

async fn messages_come_again(queue: &Queue) {
    queue.send(b"again", NOW).await.unwrap();
    let mut first = queue.receive(1, LONG).await.unwrap().remove(0);
    // Given back, it is there at once.
    assert!(queue.hide(&mut first, Duration::ZERO).await.unwrap());
    let mut second = queue.receive(1, LONG).await.unwrap().remove(0);
    assert_eq!((second.count, &second.id), (2, &first.id));
    // Kept, it stays away.
    assert!(queue.hide(&mut second, LONG).await.unwrap());
    assert!(queue.receive(1, LONG).await.unwrap().is_empty());
    assert!(queue.delete(&second).await.unwrap());
}

async fn receipts_are_for_one_receiver(queue: &Queue) {
    queue.send(b"mine", NOW).await.unwrap();
    let mut first = queue.receive(1, LONG).await.unwrap().remove(0);
    let stale = first.clone();
    assert!(queue.hide(&mut first, Duration::ZERO).await.unwrap());
    let second = queue.receive(1, LONG).await.unwrap().remove(0);
    let mut first = stale;
    assert!(!queue.delete(&first).await.unwrap());
    assert!(!queue.hide(&mut first, LONG).await.unwrap());
    assert!(queue.delete(&second).await.unwrap());
}

async fn bounds(queue: &Queue) {
    let largest = vec![7; MAX_BODY];
    queue.send(&largest, NOW).await.unwrap();
    let error = queue.send(&vec![7; MAX_BODY + 1], NOW).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
    let message = queue.receive(1, LONG).await.unwrap().remove(0);
    assert!(message.body().unwrap() == largest);
    assert!(queue.delete(&message).await.unwrap());
    // What is sent for later is not seen yet.
    let later = SendOptions { delay: LONG, keep: Some(LONG * 2) };
    queue.send(b"later", later).await.unwrap();
    assert_eq!((queue.receive(1, LONG).await.unwrap().len(), queue.length().await.unwrap()), (0, 1));
}

async fn an_answer_that_is_lost_is_no_lost_message(azurite: &Azurite) {
    let front =
        Front::before(azurite.queue_address(), |request| match (request.number, request.method.as_str()) {
            // Making it, a message sent twice, and the first of two attempts at each of the two.
            (1 | 4, _) => Verdict::LoseAnswer,
            _ => Verdict::Pass,
        });
    let endpoint = Azurite::endpoint_of(&front.endpoint());
    let queue = Queue::open(&place::access(endpoint, key()), "tasks-2").unwrap();
    queue.create().await.unwrap();
    queue.send(b"one", NOW).await.unwrap();
    let mut messages = queue.receive(9, LONG).await.unwrap();
    assert_eq!(messages.len(), 2, "delivery is at least once");
    let message = messages.remove(0);
    assert!(queue.delete(&message).await.unwrap(), "the first attempt has removed it");
    assert_eq!(front.served(), 6);
}

async fn mistakes(azurite: &Azurite) {
    for name in ["ab", "Tasks", "a--b", "-ab", "a/b"] {
        let error = Queue::open(&place::access(azurite.queue_endpoint(), key()), name).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let wrong = Credentials::Key("d3Jvbmc=".to_owned());
    let queue = Queue::open(&place::access(azurite.queue_endpoint(), wrong), "tasks-3").unwrap();
    let error = queue.create().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied, "{error}");
    assert!(error.hint().unwrap_or_default().contains("AZURE_STORAGE_KEY"), "{:?}", error.hint());
    assert!(!format!("{error} {error:?} {queue:?}").contains("d3Jvbmc"));
}
