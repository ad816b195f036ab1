//! What the programs of these tests do.

use std::time::Duration;

use rustwren::__cli::env::Environment;
use rustwren::{remote, task};

/// Ends in the way that its input names.
#[remote]
#[expect(clippy::needless_pass_by_value, reason = "mapped functions take values")]
pub(crate) fn ends(how: String) -> String {
    match how.as_str() {
        "panic" => panic!("unlucky"),
        "segfault" => raise("SEGV"),
        "abort" => std::process::abort(),
        "exit" => exit(3),
        "kill" => raise("KILL"),
        "exec" => exec(),
        "endless" => {
            println!("for ever");
            loop {
                std::hint::spin_loop();
            }
        }
        "hungry" => {
            let many = vec![1_u8; 1 << 30];
            return many.len().to_string();
        }
        "deep" => return deeper(1).to_string(),
        "attempt" => return format!("{} of task {}", task().attempt(), task().index()),
        "environment" => return format!("{:?}", Environment::of_process().get("A_TOKEN")),
        "stdin" => return std::io::read_to_string(std::io::stdin()).unwrap(),
        _ => {}
    }
    println!("on stdout");
    eprintln!("on stderr");
    format!("{how} it is")
}

/// The same, in other words.
#[remote]
pub(crate) fn returns(how: String) -> Result<String, String> {
    if how == "well" { Ok(how) } else { Err(format!("{how} is no way to end")) }
}

#[remote]
pub(crate) async fn waits(how: String) -> String {
    tokio::task::yield_now().await;
    match how.as_str() {
        "panic" => panic!("unlucky, asynchronously"),
        "endless" => std::future::pending().await,
        _ => how,
    }
}

#[remote]
#[expect(clippy::ptr_arg, reason = "the shared value's own type")]
pub(crate) fn shares(shared: &Vec<String>, index: u64) -> String {
    shared[index as usize].clone()
}

#[expect(clippy::disallowed_methods, reason = "that is the point")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// The process lives on as another program, which speaks no protocol.
fn exec() -> ! {
    use std::os::unix::process::CommandExt as _;
    let error = std::process::Command::new("sleep").arg("3600").exec();
    panic!("{error}")
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(x: u64) -> u64 {
    std::hint::black_box([x; 100])[99] + deeper(x + 1)
}

/// Sends a signal to this process.
fn raise(signal: &str) -> ! {
    // The standard library's handler gives a SIGSEGV that was sent from outside a second chance.
    loop {
        let id = std::process::id().to_string();
        let status = std::process::Command::new("kill").arg(format!("-{signal}")).arg(id).status().unwrap();
        assert!(status.success());
    }
}

pub(crate) const LIMIT: Duration = Duration::from_millis(400);
