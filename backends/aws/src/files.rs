//! Room for connections: each takes one of the files that a process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What a process has open besides.
const OTHERS: u64 = 256;

/// Raises the limit of this process (and of what it starts later) as far as the system lets it, where it would keep
/// that many connections from being open at once. Systems start programs with 1,024 for the sake of old ones that
/// cannot handle more.
pub(crate) fn room_for(connections: usize) {
    let wanted = connections as u64 + OTHERS;
    let mut limits = getrlimit(Resource::Nofile);
    // None is no limit.
    let Some(current) = limits.current.filter(|current| *current < wanted) else { return };
    let raised = limits.maximum.map_or(wanted, |most| wanted.min(most));
    limits.current = Some(raised.max(current));
    if let Err(error) = setrlimit(Resource::Nofile, limits) {
        tracing::warn!(%error, "the limit of open files stays at {current}, for up to {connections} connections");
    } else if raised < wanted {
        tracing::warn!(
            "this system allows {raised} open files, fewer than {connections} workers need: raise it (`ulimit -Hn`), or \
             set `workers` in [compute] to less"
        );
    }
}
