//! Who is at the other end of a connection on this machine: the kernel lists for each socket whose it is.

use std::net::{IpAddr, SocketAddr};

use rustwren_runtime::Isolation;
use tokio::net::TcpStream;

/// Where the kernel lists sockets. A program that asks for IPv6 can reach an IPv4 address as well.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// How often the lists are read until a connection is in them.
const READS: usize = 4;

/// The kernel's word for the state of a connection that both ends have open.
const ESTABLISHED: &str = "01";

/// Whether the other end of a connection is no task's. Where that cannot be found out, it is taken for one.
pub(super) fn may_call(stream: &TcpStream, isolation: &Isolation) -> bool {
    if !isolation.separates_users() {
        return true;
    }
    let user = stream.peer_addr().ok().zip(stream.local_addr().ok()).and_then(|(peer, own)| user(peer, own));
    match user {
        Some(user) if !isolation.is_of_a_task(user) => true,
        Some(user) => {
            tracing::warn!(user, "a task has called its own runtime, and is not heard");
            false
        }
        None => {
            tracing::warn!("a call by nobody knows whom is not heard");
            false
        }
    }
}

/// The user whose socket is connected from `peer` to `own`. The kernel gives its list in pieces, and where sockets come
/// and go meanwhile it may leave one out: so it is read more than once.
fn user(peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    let (peer, own) = (words(peer)?, words(own)?);
    let read = || TABLES.iter().find_map(|table| find(&std::fs::read_to_string(table).ok()?, &peer, &own));
    (0..READS).find_map(|_| read())
}

fn find(table: &str, peer: &[String; 2], own: &[String; 2]) -> Option<u32> {
    let is = |word: &str, address: &[String; 2]| address.iter().any(|known| known == word);
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, remote) = (words.next()?, words.next()?);
        (is(local, peer) && is(remote, own)).then_some(())?;
        // One that its process has closed already counts as nobody's, which is root's.
        (words.next()? == ESTABLISHED).then_some(())?;
        // Queues, timers and retransmissions stand between.
        words.nth(3)?.parse().ok()
    })
}

/// The kernel's words for an address, as one of IPv4 and as one of IPv6: groups of four bytes, each the number that the
/// machine makes of them, and the port, all in hexadecimal digits.
fn words(address: SocketAddr) -> Option<[String; 2]> {
    let IpAddr::V4(v4) = address.ip() else { return None };
    let (number, port) = (u32::from_ne_bytes(v4.octets()), address.port());
    let mapping = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    Some([
        format!("{number:08X}:{port:04X}"),
        format!("0000000000000000{mapping:08X}{number:08X}:{port:04X}"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_of_this_process_are_its_users() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", address.port()).parse().unwrap();
        for address in [address, mapped] {
            let connected = TcpStream::connect(address).await.unwrap();
            let (taken, peer) = listener.accept().await.unwrap();
            let found = user(peer, taken.local_addr().unwrap());
            assert_eq!(found, Some(rustix::process::geteuid().as_raw()), "{address}");
            drop(connected);
        }
        let connected = TcpStream::connect(address).await.unwrap();
        let (mut taken, peer) = listener.accept().await.unwrap();
        drop(connected);
        // The end of what it has sent comes when it is closed.
        assert_eq!(tokio::io::AsyncReadExt::read(&mut taken, &mut [0]).await.unwrap(), 0);
        assert_eq!(user(peer, taken.local_addr().unwrap()), None, "it was closed at once");
        assert_eq!(user("127.0.0.1:1".parse().unwrap(), address), None);
    }
}
