//! A program that does something before `rustwren::init()`, and something after it.

use rustwren::blocking::{self, Wait as _};
use rustwren_tests::note;

fn main() -> rustwren::Result<()> {
    note("before");
    println!("before");
    if std::path::Path::new("ask").exists() {
        drop(std::io::stdin().read_line(&mut String::new()));
    }
    rustwren::init();
    note("after");
    println!("after");
    let executor = blocking::connect()?;
    println!("{:?}", executor.map(|x: u64| x + 1, 0..3).wait()?);
    note("end");
    Ok(())
}
