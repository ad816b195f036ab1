//! A program that reads its arguments before it reaches `rustwren::init()`, and accepts few.

use std::process::ExitCode;

use rustwren::blocking::{self, Wait as _};
use rustwren_tests::note;

fn main() -> ExitCode {
    note("started");
    if let Some(argument) = std::env::args().nth(1) {
        eprintln!("error: unexpected argument '{argument}' found\n\nUsage: picky");
        return ExitCode::from(2);
    }
    rustwren::init();
    match blocking::connect().and_then(|executor| executor.map(|x: u64| x, 0..1_000).wait()) {
        Ok(outputs) => println!("{}", outputs.len()),
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
