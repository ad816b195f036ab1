//! Taking over file descriptors that the parent process passed by number.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;

/// Takes ownership of an inherited descriptor and marks it so that programs started from here do not inherit it.
/// Numbers up to 2 (the standard streams) and numbers that are not open are refused.
///
/// # Safety argument
///
/// Ownership of a descriptor is sound if nothing else in the process owns the same number. The number comes from
/// the supervisor, which opened it for this purpose alone and named it in a variable that the function process
/// takes out of its environment as it reads it, so that it is taken once; `rustwren::init()` runs first in
/// `main`, before other code could have opened a file and been given the number, which is open already.
pub(crate) fn take(fd: RawFd) -> io::Result<OwnedFd> {
    if fd <= 2 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the number of a passed descriptor",
        ));
    }
    // SAFETY: only used for this call, which answers EBADF if the number is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    // SAFETY: open as just seen, and owned by nobody else as argued above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
