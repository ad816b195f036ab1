//! What tests of provisioners need: a clock that nobody waits for, and something to deploy.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustwren_core::clock::{Clock, Sleep};

/// A clock on which waiting takes no time, and is counted.
#[derive(Debug, Default)]
pub struct Quick {
    now: Mutex<Duration>,
}

impl Clock for Quick {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += duration;
        Box::pin(std::future::ready(()))
    }
}

/// The smallest program for Linux on x86-64 that contains all it needs: a header and one segment, with `tag` in it.
pub fn small_program(tag: u64) -> Vec<u8> {
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    elf.resize(16, 0);
    let mut put = |size: usize, value: u64| elf.extend_from_slice(&value.to_le_bytes()[..size]);
    // An executable for x86-64, with its one segment right behind this header.
    for (size, value) in [(2, 2), (2, 62), (4, 1), (8, 0x40_0078), (8, 64), (8, 0), (4, 0)] {
        put(size, value);
    }
    for (size, value) in [(2, 64), (2, 56), (2, 1), (2, 64), (2, 0), (2, 0)] {
        put(size, value);
    }
    // All of the file, to be read and run.
    for (size, value) in
        [(4, 1), (4, 5), (8, 0), (8, 0x40_0000), (8, 0x40_0000), (8, 128), (8, 128), (8, 4096)]
    {
        put(size, value);
    }
    put(8, tag);
    elf
}
