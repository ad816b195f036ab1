//! The suites over the local backend: in place, through a packed image, and with everything through storage.

use std::process::ExitCode;

use rustwren::Executor;
use rustwren::config::LoadOptions;
use rustwren_tests::{Backend, BoxFuture};

fn connect(image: &'static str, limit: Option<&'static str>) -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async move {
        let mut options = LoadOptions::of_process()
            .search(false)
            .set("provider", "local")
            .set("compute.workers", 2)
            .set("compute.image", image)
            .set("client.progress", "never")
            .set("client.logs", "none");
        if let Some(limit) = limit {
            options = options.set("compute.max_duration", limit);
        }
        Executor::connect_with(&options).await
    })
}

fn main() -> ExitCode {
    rustwren_tests::main(&[
        Backend {
            name: "direct",
            connect: || connect("direct", None),
            short_lived: || connect("direct", Some("1s")),
            gaps: &[],
        },
        Backend {
            name: "packed",
            connect: || connect("packed", None),
            short_lived: || connect("packed", Some("1s")),
            gaps: &[],
        },
    ])
}
