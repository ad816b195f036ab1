//! The suites over the local backend: in place, through a packed image, and with everything through storage.

use std::process::ExitCode;

use rustwren::Executor;
use rustwren::config::LoadOptions;
use rustwren_tests::{Backend, BoxFuture};

fn connect(image: &'static str) -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async move {
        let options = LoadOptions::of_process()
            .search(false)
            .set("provider", "local")
            .set("compute.workers", 2)
            .set("compute.image", image)
            .set("client.progress", "never")
            .set("client.logs", "none");
        Executor::connect_with(&options).await
    })
}

fn main() -> ExitCode {
    rustwren_tests::main(&[
        Backend { name: "direct", connect: || connect("direct"), gaps: &[] },
        Backend { name: "packed", connect: || connect("packed"), gaps: &[] },
    ])
}
