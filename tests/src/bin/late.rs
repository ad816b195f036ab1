//! A program that as a function process does not get as far as `rustwren::init()`.

use rustwren::blocking::{self, Wait as _};
use rustwren_tests::note;

fn main() -> rustwren::Result<()> {
    note("started");
    while std::env::args().len() > 1 {
        std::thread::park();
    }
    rustwren::init();
    let executor = blocking::connect()?;
    println!("{:?}", executor.map(|x: u64| x, 0..1_000).wait()?);
    Ok(())
}
