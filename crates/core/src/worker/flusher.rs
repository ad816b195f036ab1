//! The thread that sends on what a long-running element would otherwise hold up: results made before it, and its
//! output. It sleeps while nothing is under way.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::Thread;
use std::time::Duration;

use super::host::Host;

/// Until told otherwise.
const PARKED: u8 = 0;
/// Looks for output now and then.
const DOZING: u8 = 1;
/// Results wait, or did a moment ago.
const AWAKE: u8 = 2;

const TICK: Duration = Duration::from_millis(1);
const OUTPUT: Duration = Duration::from_millis(50);
/// So many ticks without anything to send, and it dozes off.
const QUIET: u32 = 16;

#[derive(Debug, Default)]
pub(super) struct Flusher {
    state: AtomicU8,
    thread: OnceLock<Thread>,
}

impl Flusher {
    fn wake(&self, state: u8) {
        if self.state.fetch_max(state, Ordering::SeqCst) < state
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// A first result waits.
    #[inline]
    pub(super) fn results_wait(&self) {
        if self.state.load(Ordering::SeqCst) != AWAKE {
            self.wake(AWAKE);
        }
    }

    /// A call begins.
    #[inline]
    pub(super) fn call_begins(&self) {
        if self.state.load(Ordering::SeqCst) == PARKED {
            self.wake(DOZING);
        }
    }

    /// The thread's life.
    pub(super) fn run(&self, host: &'static Host) -> ! {
        self.thread.get_or_init(std::thread::current);
        let (mut quiet, mut since_output) = (0_u32, Duration::ZERO);
        let mut seen = 0;
        loop {
            let slept = match self.state.load(Ordering::SeqCst) {
                PARKED => {
                    std::thread::park();
                    Duration::ZERO
                }
                DOZING => {
                    std::thread::park_timeout(OUTPUT);
                    OUTPUT
                }
                _ => {
                    std::thread::park_timeout(TICK);
                    TICK
                }
            };
            since_output += slept;
            if since_output >= OUTPUT {
                since_output = Duration::ZERO;
                host.forward_output();
            }
            let oldest = host.outbox.oldest();
            if oldest == 0 {
                quiet += 1;
            } else {
                quiet = 0;
                // Waiting since before the last tick.
                if oldest == seen {
                    host.outbox.flush(&host.page);
                }
            }
            seen = oldest;
            if quiet > QUIET || self.state.load(Ordering::SeqCst) == DOZING {
                let next = if host.control.running().is_some() {
                    DOZING
                } else {
                    PARKED
                };
                self.state.store(next, Ordering::SeqCst);
                // Whoever put something in line before this store found the thread awake and did not wake it.
                if host.outbox.oldest() != 0 {
                    self.state.store(AWAKE, Ordering::SeqCst);
                } else if next == PARKED && host.control.running().is_some() {
                    self.state.store(DOZING, Ordering::SeqCst);
                }
            }
        }
    }
}
