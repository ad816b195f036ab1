//! What a supervisor hands to a function process: a socket, which the process is started with as its stdin, and the shared
//! page, which comes over the socket.
//!
//! The process needs no other descriptor, so nothing has to be arranged between `fork` and `exec`, and the standard library
//! starts it by `posix_spawn`, which does not copy the supervisor's page tables.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// What the page comes with. A program that asks its user for a line before it reaches `rustwren::init()` reads an empty
/// one, and does not wait.
const COVER: &[u8] = b"\n";

/// Puts the page into the supervisor's end of the socket, before the process is started.
pub fn send_page(socket: impl AsFd, page: impl AsFd) -> io::Result<()> {
    let fds = [page.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("a descriptor does not fit in its message"));
    }
    let sent = sendmsg(socket, &[IoSlice::new(COVER)], &mut control, SendFlags::NOSIGNAL)?;
    if sent == COVER.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Takes the socket from the place of stdin, which is `/dev/null` from now on.
pub(super) fn take_socket() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    if FileType::from_raw_mode(rustix::fs::fstat(&stdin)?.st_mode) != FileType::Socket {
        return Err(lost("its stdin is not the supervisor's socket any more"));
    }
    // Above the standard streams, and closed on `exec`.
    let socket = stdin.as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Takes the page, which has been sent before the process was started.
pub(super) fn receive_page(socket: impl AsFd) -> io::Result<OwnedFd> {
    let mut cover = [0; COVER.len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = match recvmsg(socket, &mut [IoSliceMut::new(&mut cover)], &mut control, flags) {
        Err(Errno::AGAIN) => return Err(lost("the shared page is not in its socket")),
        received => received?,
    };
    let page = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    match page {
        Some(page) if received.bytes == COVER.len() && !received.flags.contains(ReturnFlags::CTRUNC) => {
            Ok(page)
        }
        _ => Err(lost("what is in its socket is not the shared page")),
    }
}

fn lost(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "{what}; a program must not read or replace its stdin before it calls rustwren::init(), and its runtime must \
             be of the same version of RustWren"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_page_arrives_once_and_before_all_else() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let mut page = tempfile::tempfile().unwrap();
        page.write_all(b"page").unwrap();
        send_page(&ours, &page).unwrap();
        ours.write_all(b"more").unwrap();
        let mut received = File::from(receive_page(&theirs).unwrap());
        assert!(rustix::io::fcntl_getfd(&received).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        let mut text = String::new();
        received.rewind().unwrap();
        received.read_to_string(&mut text).unwrap();
        assert_eq!(text, "page");
        let mut more = [0; 4];
        theirs.read_exact(&mut more).unwrap();
        assert_eq!(&more, b"more");
    }

    #[test]
    fn a_page_that_somebody_else_has_read_is_missed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        send_page(&ours, tempfile::tempfile().unwrap()).unwrap();
        theirs.read_exact(&mut [0]).unwrap();
        let error = receive_page(&theirs).unwrap_err().to_string();
        assert!(
            error.starts_with("the shared page is not in its socket; a program must not read"),
            "{error}"
        );
        (&ours).write_all(b"frame").unwrap();
        let error = receive_page(&theirs).unwrap_err().to_string();
        assert!(error.starts_with("what is in its socket is not the shared page"), "{error}");
        drop(ours);
        assert!(receive_page(&theirs).is_err());
    }
}
