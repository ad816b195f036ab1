//! The front of Lambda over the real emulator. This program is its functions' bootstrap too, so it brings its own `main`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, which clippy cannot see without libtest, and a function that misbehaves as told"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use libtest_mimic::{Arguments, Trial};
use rustwren_testkit::standins::lambda::{Fault, Function, LambdaFront};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// What the function under test does with a payload.
async fn handle(event: lambda_runtime::LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    match event.payload["do"].as_str() {
        Some("print") => println!("printed as told"),
        Some("fail") => return Err("failed as told".into()),
        Some("exit") => std::process::exit(3),
        Some("hang") => std::future::pending().await,
        Some("large") => return Ok(json!("x".repeat(6_291_600))),
        _ => {}
    }
    Ok(
        json!({ "got": event.payload, "secret": std::env::var("OF_THE_FUNCTION").ok(), "home": std::env::var("HOME").ok() }),
    )
}

fn front(change: impl FnOnce(&mut Function)) -> Arc<LambdaFront> {
    let mut function = Function {
        name: "fn".to_owned(),
        bootstrap: std::env::current_exe().unwrap(),
        timeout: Duration::from_mins(1),
        memory_mb: 512,
        environment: vec![("OF_THE_FUNCTION".to_owned(), "here".to_owned())],
        concurrency: 2,
        event_retries: 1,
    };
    change(&mut function);
    Arc::new(LambdaFront::start(function))
}

type Answer = Response<Bytes>;

async fn call(front: &LambdaFront, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Option<Answer> {
    let address = front.endpoint().strip_prefix("http://").unwrap().to_owned();
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post("/2015-03-31/functions/fn/invocations").header("Host", address);
    request = request.header("Authorization", "AWS4-HMAC-SHA256 Credential=..");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.ok()?;
    let (head, body) = response.into_parts();
    Some(Response::from_parts(head, body.collect().await.unwrap().to_bytes()))
}

async fn invoke(front: &LambdaFront, what: &str) -> Answer {
    call(front, &[("X-Amz-Log-Type", "Tail")], json!({ "do": what }).to_string()).await.unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

fn log(answer: &Answer) -> String {
    String::from_utf8(STANDARD.decode(header(answer, "X-Amz-Log-Result")).unwrap()).unwrap()
}

async fn a_function_answers() {
    let front = front(|_| {});
    for _ in 0..2 {
        let answer = invoke(&front, "print").await;
        assert_eq!((answer.status(), header(&answer, "X-Amz-Function-Error")), (StatusCode::OK, ""));
        let expected = json!({ "got": { "do": "print" }, "secret": "here", "home": null });
        assert_eq!(body(&answer), expected, "and it sees the function's environment alone");
        assert!(log(&answer).contains("printed as told"));
    }
    assert_eq!(front.seen().environments, 1, "a warm environment is used again");
}

async fn failures_are_told() {
    let front = front(|function| function.timeout = Duration::from_secs(1));
    for (what, kind) in [
        ("fail", ""),
        ("exit", "Runtime.ExitError"),
        ("large", "Function.ResponseSizeTooLarge"),
        ("hang", "Sandbox.Timedout"),
    ] {
        let answer = invoke(&front, what).await;
        assert_eq!(
            (answer.status(), header(&answer, "X-Amz-Function-Error")),
            (StatusCode::OK, "Unhandled"),
            "{what}"
        );
        let error = body(&answer);
        assert!(error["errorType"].as_str().unwrap().contains(kind), "{error}");
        assert_eq!(header(&invoke(&front, "echo").await, "X-Amz-Function-Error"), "", "it serves again");
    }
}

async fn concurrency_is_limited() {
    let front = front(|_| {});
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let front = Arc::clone(&front);
            tokio::spawn(async move { invoke(&front, "hang").await })
        })
        .collect();
    front.wait_until(|seen| seen.running == 2).await;
    let answer = invoke(&front, "echo").await;
    assert_eq!((answer.status(), header(&answer, "Retry-After")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert_eq!(body(&answer)["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    let seen = front.seen();
    assert_eq!((seen.running, seen.throttled), (2, 1), "callers that hang up end nothing");
}

async fn events_run_later_and_again() {
    let front = front(|_| {});
    for (what, times) in [("echo", 1), ("fail", 2)] {
        let before = front.seen();
        let answer = call(&front, &[("X-Amz-Invocation-Type", "Event")], json!({ "do": what }).to_string())
            .await
            .unwrap();
        assert_eq!((answer.status(), answer.body().len()), (StatusCode::ACCEPTED, 0));
        front.wait_until(|seen| seen.events_over > before.events_over).await;
        assert_eq!(front.seen().invocations - before.invocations, times, "{what}");
    }
}

async fn what_is_refused() {
    let front = front(|_| {});
    let refused = async |headers: &[(&str, &str)], body: Vec<u8>| {
        let answer = call(&front, headers, body).await.unwrap();
        (answer.status().as_u16(), header(&answer, "X-Amzn-ErrorType").to_owned())
    };
    let text = |len: usize| [&b"\""[..], &vec![b'x'; len - 2], b"\""].concat();
    assert_eq!(refused(&[], text(6_291_457)).await, (413, "RequestTooLargeException".to_owned()));
    assert_eq!(refused(&[], text(6_291_456)).await, (200, String::new()));
    let event = [("X-Amz-Invocation-Type", "Event")];
    assert_eq!(refused(&event, text((1 << 20) + 1)).await, (413, "RequestTooLargeException".to_owned()));
    assert_eq!(refused(&event, text(1 << 20)).await, (202, String::new()));
    assert_eq!(refused(&[], b"{".to_vec()).await, (400, "InvalidRequestContentException".to_owned()));
    assert_eq!(refused(&[("X-Amz-Invocation-Type", "DryRun")], b"{}".to_vec()).await, (204, String::new()));
    front.fail_next(Fault::Throttled { reason: "CallerRateLimitExceeded", retry_after: None });
    assert_eq!(refused(&[], b"{}".to_vec()).await, (429, "TooManyRequestsException".to_owned()));
    front.fail_next(Fault::Refused { status: 500, kind: "ServiceException", message: "no" });
    assert_eq!(refused(&[], b"{}".to_vec()).await, (500, "ServiceException".to_owned()));
    let before = front.seen().invocations;
    front.fail_next(Fault::Reset);
    assert!(call(&front, &[], "{}").await.is_none());
    assert_eq!(front.seen().invocations, before);
    front.fail_next(Fault::LostAnswer);
    assert!(call(&front, &[], "{}").await.is_none());
    assert_eq!(front.seen().invocations, before + 1);
    front.delete_function_after(0);
    assert_eq!(refused(&[], b"{}".to_vec()).await, (404, "ResourceNotFoundException".to_owned()));
}

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

fn main() -> ExitCode {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // It ends when its emulator does.
        return match runtime.block_on(lambda_runtime::run(lambda_runtime::service_fn(handle))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let trials = vec![
        trial("a function answers", a_function_answers),
        trial("failures are told", failures_are_told),
        trial("concurrency is limited", concurrency_is_limited),
        trial("events run later, and again", events_run_later_and_again),
        trial("what is refused", what_is_refused),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
