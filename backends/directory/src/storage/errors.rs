//! What the operating system's errors mean for whoever uses the storage.

use std::path::Path;

use rustix::io::Errno;
use rustwren_core::error::{BackendError, ErrorClass};

/// What an operating system's error means, and what helps against it, where that is known.
fn judge(errno: Errno, root: &Path) -> (ErrorClass, Option<String>) {
    use ErrorClass::{Denied, Internal, Misconfigured, Transient};
    let root = root.display();
    let (class, hint) = match errno {
        Errno::LOOP => (
            Denied,
            format!(
                "symbolic links below {root} are not followed, as they may lead out of it: put the files themselves there, or \
                 open the storage at the directory that the link points to"
            ),
        ),
        Errno::ACCESS | Errno::PERM => {
            (Denied, format!("give this user read and write permission on everything below {root}"))
        }
        Errno::ROFS => (
            Denied,
            format!(
                "{root} is on a read-only file system: mount it writable, or choose another directory for the storage"
            ),
        ),
        // Waiting does not make room: whoever runs the job has to.
        Errno::NOSPC => (
            Misconfigured,
            format!(
                "the file system of {root} is full: make room there, or choose another directory for the storage"
            ),
        ),
        Errno::DQUOT => (
            Misconfigured,
            format!(
                "this user's quota on the file system of {root} is used up: make room, have it raised, or choose another \
                 directory for the storage"
            ),
        ),
        Errno::FBIG => (
            Misconfigured,
            format!(
                "files below {root} may not become so large: raise the limit (`ulimit -f`), or choose a directory on \
                 another file system"
            ),
        ),
        Errno::ISDIR | Errno::NOTDIR | Errno::EXIST => (
            Misconfigured,
            format!(
                "something other than this storage's objects is in the way below {root}: move it elsewhere"
            ),
        ),
        Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS => (
            Misconfigured,
            format!(
                "the file system of {root} cannot hold this object: choose a directory on a Linux file system"
            ),
        ),
        Errno::MFILE => (
            Transient,
            format!(
                "this process has as many files open as it may, those below {root} among them: raise the limit \
                 (`ulimit -n`), or lower the concurrency"
            ),
        ),
        Errno::NFILE => (
            Transient,
            format!("this machine has as many files open as it can, so none can be opened below {root}"),
        ),
        // What is written elsewhere on the disk may be sound, so it is tried again; it seldom mends itself.
        Errno::IO => (
            Transient,
            format!(
                "the disk under {root} fails: look at the kernel's log (`dmesg`), and choose another directory for the \
                 storage until it is mended"
            ),
        ),
        Errno::STALE | Errno::TIMEDOUT | Errno::NOLCK => (
            Transient,
            format!(
                "the network file system of {root} does not answer as it should: look at its mount and its server"
            ),
        ),
        Errno::NOENT => (
            Transient,
            format!("something removes files below {root} while it is in use: leave that to RustWren"),
        ),
        Errno::NOMEM => {
            (Transient, format!("this machine has no memory left to work on files below {root} with"))
        }
        Errno::INTR | Errno::AGAIN | Errno::BUSY => return (Transient, None),
        _ => return (Internal, None),
    };
    (class, Some(hint))
}

fn error(errno: Errno, message: String, root: &Path) -> BackendError {
    let (class, hint) = judge(errno, root);
    let error = BackendError::new(class, message).with_source(std::io::Error::from(errno));
    error.with_optional_hint(hint)
}

/// The error of an operation on the storage below `root`; `what` says which, as in `write object k`.
pub(super) fn fault(errno: Errno, what: &str, root: &Path) -> BackendError {
    error(errno, format!("cannot {what} in {}", root.display()), root)
}

/// The error of a storage whose own directory cannot be opened or made: never a missing object.
pub(super) fn root_fault(errno: Errno, root: &Path) -> BackendError {
    let (what, hint) = match errno {
        Errno::NOENT | Errno::LOOP => {
            ("is not there", "create or mount it, or choose another directory for the storage")
        }
        Errno::NOTDIR | Errno::EXIST => (
            "is not a directory, or lies below something that is none",
            "move what is in the way, or choose another directory for the storage",
        ),
        _ => {
            let message = format!("the storage directory {} cannot be opened or made", root.display());
            return error(errno, message, root);
        }
    };
    let message = format!("the storage directory {} {what}", root.display());
    BackendError::new(ErrorClass::Misconfigured, message)
        .with_source(std::io::Error::from(errno))
        .with_hint(hint)
}

/// The error number of a standard library error.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_where_it_is_and_what_helps() {
        use ErrorClass::{Denied, Misconfigured, Transient};
        let root = Path::new("/data");
        for (errno, class, mend) in [
            (Errno::ACCESS, Denied, "permission"),
            (Errno::PERM, Denied, "permission"),
            (Errno::ROFS, Denied, "mount it writable"),
            (Errno::LOOP, Denied, "symbolic links"),
            (Errno::NOSPC, Misconfigured, "is full"),
            (Errno::DQUOT, Misconfigured, "quota"),
            (Errno::FBIG, Misconfigured, "ulimit -f"),
            (Errno::ISDIR, Misconfigured, "in the way"),
            (Errno::NOTDIR, Misconfigured, "in the way"),
            (Errno::NAMETOOLONG, Misconfigured, "Linux file system"),
            (Errno::MFILE, Transient, "ulimit -n"),
            (Errno::NFILE, Transient, "this machine"),
            (Errno::IO, Transient, "dmesg"),
            (Errno::STALE, Transient, "its server"),
            (Errno::NOENT, Transient, "leave that to RustWren"),
            (Errno::NOMEM, Transient, "no memory"),
        ] {
            let error = fault(errno, "write object k", root);
            assert_eq!(error.class(), class, "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.contains("/data") && hint.contains(mend), "{errno}: {hint}");
            let expected = format!("cannot write object k in /data: {}", std::io::Error::from(errno));
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(fault(Errno::INTR, "read object k", root).class(), Transient);
    }

    #[test]
    fn so_does_a_root_that_cannot_be_used() {
        use ErrorClass::{Denied, Misconfigured, Transient};
        let root = Path::new("/data");
        for (errno, class, says) in [
            (Errno::NOENT, Misconfigured, "is not there"),
            (Errno::LOOP, Misconfigured, "is not there"),
            (Errno::NOTDIR, Misconfigured, "is not a directory"),
            (Errno::EXIST, Misconfigured, "is not a directory"),
            (Errno::NOSPC, Misconfigured, "cannot be opened or made"),
            (Errno::ACCESS, Denied, "cannot be opened or made"),
            (Errno::ROFS, Denied, "cannot be opened or made"),
            (Errno::MFILE, Transient, "cannot be opened or made"),
        ] {
            let error = root_fault(errno, root);
            assert_eq!(error.class(), class, "{error}");
            let text = error.to_string();
            assert!(text.starts_with(&format!("the storage directory /data {says}")), "{text}");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
