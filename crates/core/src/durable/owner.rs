//! Who drives a job: which process of which machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A process, named so that another one on the same machine can tell whether it still runs, and that one elsewhere
/// can say who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The machine's name, for people.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// When the process began, in the kernel's ticks since it was booted: tells it from a later one of the same
    /// number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Names one run of one kernel. A number of a process means something only within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Names the numbering of processes: containers on one machine have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<String>,
    /// The program's file, for people.
    pub program: String,
    /// Tells drivers of one process from each other.
    pub token: u64,
}

impl Owner {
    /// This process, as a driver of its own.
    pub fn of_process(program: impl Into<String>) -> Self {
        let pid = std::process::id();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid,
            started: start_of(pid).and_then(Result::ok),
            boot: boot(),
            pid_namespace: pid_namespace(),
            program: program.into(),
            token: fastrand::u64(..),
        }
    }

    /// Whether it still runs, as seen from this process: `None` where it cannot be told from here, since it is
    /// somewhere else or what names it is not known.
    pub fn is_running(&self) -> Option<bool> {
        let same = |theirs: &Option<String>, ours: Option<String>| theirs.is_some() && *theirs == ours;
        let theirs = self.started?;
        if !same(&self.boot, boot()) || !same(&self.pid_namespace, pid_namespace()) {
            return None;
        }
        match start_of(self.pid)? {
            Ok(started) => Some(started == theirs),
            Err(Gone) => Some(false),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)?;
        if !self.program.is_empty() {
            write!(f, " ({})", self.program)?;
        }
        Ok(())
    }
}

/// There is no such process.
struct Gone;

fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

fn pid_namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// When a process began; `None` where that cannot be read. One that has ended and was not waited for yet does nothing
/// more: it is gone.
fn start_of(pid: u32) -> Option<Result<u64, Gone>> {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            let (state, started) = parse_stat(&stat)?;
            Some(if matches!(state, "Z" | "X") { Err(Gone) } else { Ok(started) })
        }
        // A kernel may be told to hide the processes of other users: then it is there, and nothing more is known.
        Err(_) => {
            match rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid.try_into().ok()?)?) {
                Err(rustix::io::Errno::SRCH) => Some(Err(Gone)),
                _ => None,
            }
        }
    }
}

/// State and start time of a process out of its `stat` file.
fn parse_stat(stat: &str) -> Option<(&str, u64)> {
    // The second field is the program's name in parentheses, which may itself have spaces and parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    // The state is field 3 of the manual's count, the start time field 22.
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_one_that_has_ended_does_not() {
        let this = Owner::of_process("p");
        assert_eq!(this.is_running(), Some(true));
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let started = start_of(pid).unwrap().ok();
        let theirs = Owner { pid, started, ..this.clone() };
        assert_eq!(theirs.is_running(), Some(true));
        // Another process that has got the number does not pass for it.
        assert_eq!(Owner { started: started.map(|s| s + 1), ..theirs.clone() }.is_running(), Some(false));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(theirs.is_running(), Some(false));
    }

    #[test]
    fn one_elsewhere_is_not_judged() {
        let this = Owner::of_process("p");
        for other in [
            Owner { boot: Some("other".into()), ..this.clone() },
            Owner { boot: None, ..this.clone() },
            Owner { pid_namespace: Some("other".into()), ..this.clone() },
            Owner { started: None, ..this.clone() },
        ] {
            assert_eq!(other.is_running(), None, "{other:?}");
        }
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = "42 (a) b) (c) S 1 1 1 0 -1 4194304 1 1 0 0 1 1 1 1 20 0 1 0 777 1 1";
        assert_eq!(parse_stat(stat), Some(("S", 777)));
        assert_eq!(parse_stat(""), None);
        assert_eq!(parse_stat("1 (x) S 1"), None);
    }
}
