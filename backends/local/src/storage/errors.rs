//! What the operating system's errors mean for whoever uses the storage.

use std::path::Path;

use rustix::io::Errno;
use rustwren_core::error::{BackendError, ErrorClass};

/// The error of an operation on the storage below `root`; `what` says which, as in `write object k`.
pub(super) fn fault(errno: Errno, what: &str, root: &Path) -> BackendError {
    let root = root.display();
    let (class, hint) = match errno {
        Errno::LOOP => (
            ErrorClass::Denied,
            Some(format!(
                "symbolic links below {root} are not followed, as they may lead out of it: put the files themselves there, or \
                 open the storage at the directory that the link points to"
            )),
        ),
        Errno::ACCESS | Errno::PERM => (
            ErrorClass::Denied,
            Some(format!("give this user read and write permission on everything below {root}")),
        ),
        Errno::ROFS => (
            ErrorClass::Denied,
            Some(format!("{root} is on a read-only file system: choose another directory for the storage")),
        ),
        // Waiting does not make room: whoever runs the job has to.
        Errno::NOSPC | Errno::DQUOT => (
            ErrorClass::Misconfigured,
            Some(format!(
                "make room on the file system (or in the quota) of {root}, or choose another directory"
            )),
        ),
        Errno::ISDIR | Errno::NOTDIR | Errno::EXIST => (
            ErrorClass::Misconfigured,
            Some(format!(
                "something other than this storage's objects is in the way below {root}: move it elsewhere"
            )),
        ),
        Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL | Errno::FBIG | Errno::OPNOTSUPP | Errno::NOSYS => (
            ErrorClass::Misconfigured,
            Some(format!(
                "the file system of {root} cannot hold this object: choose a directory on a Linux file system"
            )),
        ),
        Errno::MFILE | Errno::NFILE => (
            ErrorClass::Transient,
            Some(
                "too many files are open: raise the limit (`ulimit -n`) or lower the concurrency".to_owned(),
            ),
        ),
        Errno::NOENT
        | Errno::IO
        | Errno::STALE
        | Errno::INTR
        | Errno::AGAIN
        | Errno::NOMEM
        | Errno::BUSY
        | Errno::TIMEDOUT
        | Errno::NOLCK => (ErrorClass::Transient, None),
        _ => (ErrorClass::Internal, None),
    };
    let error = BackendError::new(class, format!("cannot {what} in {root}"));
    let error = error.with_source(std::io::Error::from(errno));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The error of a storage whose own directory cannot be opened: never a missing object.
pub(super) fn root_fault(errno: Errno, root: &Path) -> BackendError {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
            let message = format!("the storage directory {} is not there", root.display());
            BackendError::new(ErrorClass::Misconfigured, message)
                .with_source(std::io::Error::from(errno))
                .with_hint("create or mount it, or choose another directory for the storage")
        }
        _ => fault(errno, "open the storage directory", root),
    }
}

/// The error number of a standard library error.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_say_what_to_do() {
        let root = Path::new("/data");
        for (errno, class) in [
            (Errno::ACCESS, ErrorClass::Denied),
            (Errno::ROFS, ErrorClass::Denied),
            (Errno::LOOP, ErrorClass::Denied),
            (Errno::NOSPC, ErrorClass::Misconfigured),
            (Errno::DQUOT, ErrorClass::Misconfigured),
            (Errno::ISDIR, ErrorClass::Misconfigured),
        ] {
            let error = fault(errno, "write object k", root);
            assert_eq!(error.class(), class);
            assert!(error.hint().unwrap().contains("/data"), "{error:?}");
            assert!(error.to_string().starts_with("cannot write object k in /data: "), "{error}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::IO, Errno::STALE, Errno::NOENT] {
            assert_eq!(fault(errno, "read object k", root).class(), ErrorClass::Transient);
        }
        assert_eq!(root_fault(Errno::NOENT, root).class(), ErrorClass::Misconfigured);
        assert_eq!(root_fault(Errno::MFILE, root).class(), ErrorClass::Transient);
        assert_eq!(root_fault(Errno::ACCESS, root).class(), ErrorClass::Denied);
    }
}
