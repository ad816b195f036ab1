//! Looks 3 000 US zip codes up at an HTTP service that takes its time: a pipeline of two parallel steps and a
//! sequential one, with its report. The service is part of the example, the zip codes are real
//! (`examples/data/README.md`).
//!
//! ```text
//! $ cargo run --release -p rustwren-examples --example geolocate [DELAY_MS [LOOKUPS_AT_ONCE [RUNS [SAMPLES]]]]
//! ```
//!
//! With `LOOKUPS_AT_ONCE` 1, each worker makes one lookup at a time, as a blocking program does. How many workers there
//! are is the configuration's matter: `RUSTWREN__COMPUTE__WORKERS=100` for a hundred function processes here. They are
//! started in the first of `RUNS` runs, and are there in the others. The serial baseline is estimated from `SAMPLES` lookups
//! (40), and measured with 3 000.

use std::ffi::OsString;

use rustwren::prelude::*;
use rustwren_examples::args;
use rustwren_examples::geolocate::{Lookup, Place, Service, cleanup, geolocate, zip_codes};

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    let delay_ms = args::parse(&given, 0, "DELAY_MS", 75_u64).map_err(wrong)?;
    let at_once = args::parse(&given, 1, "LOOKUPS_AT_ONCE", 100_u32).map_err(wrong)?;
    let runs = args::parse(&given, 2, "RUNS", 1_u32).map_err(wrong)?;
    let samples = args::parse(&given, 3, "SAMPLES", 40_u32).map_err(wrong)?;
    let executor = Executor::connect().await?;
    let service = Service::start().map_err(|error| {
        rustwren::Error::new(rustwren::ErrorKind::Unavailable, "the service could not be started")
            .with_source(error)
    })?;
    let lookups: Vec<Lookup> =
        zip_codes().map(|zip| Lookup { zip: zip.to_owned(), service: service.url(), delay_ms }).collect();
    for _ in 0..runs {
        run(&executor, lookups.clone(), at_once, samples).await?;
    }
    Ok(())
}

async fn run(executor: &Executor, lookups: Vec<Lookup>, at_once: u32, samples: u32) -> rustwren::Result<()> {
    let done = Pipeline::new(lookups)
        .try_map_async(geolocate)
        .concurrency(at_once)
        .retries(1)
        .flat_map(cleanup)
        .sequential(sort)
        .on_error(OnError::Collect)
        .baseline(samples)
        .run(executor)
        .await?;

    for place in [done.items.first(), done.items.last()].into_iter().flatten() {
        let Place { zip, latitude, longitude, city, state } = place;
        println!("{latitude:8.4} {longitude:9.4}  {zip}  {city}, {state}");
    }
    for failed in &done.failed {
        println!("failed: {failed}");
    }
    println!("\n{}", done.report);
    Ok(())
}

/// From south to north.
fn sort(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_by(|a, b| a.latitude.total_cmp(&b.latitude));
    places
}

fn wrong(message: String) -> rustwren::Error {
    rustwren::Error::new(rustwren::ErrorKind::Config, message).with_hint(
        "cargo run --release -p rustwren-examples --example geolocate [DELAY_MS [LOOKUPS_AT_ONCE [RUNS [SAMPLES]]]]",
    )
}
