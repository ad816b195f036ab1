//! A few kilobytes of memory shared by a supervisor and its function process.
//!
//! The function process notes in it which element it is running; the supervisor reads it while the process runs
//! (to enforce time limits) and after its death (to blame the right element). Nothing else of the process has to
//! work for that: no system call, no lock.
//!
//! # Safety argument
//!
//! The memory is a mapping of an anonymous file of exactly `size_of::<Layout>()` bytes, sealed against shrinking
//! before it is mapped, so that no access can fault. It is only ever accessed through `&Layout`, all of whose fields
//! are atomics for which every bit pattern is a value, so neither races between the processes nor a process that
//! scribbles over the page can cause undefined behaviour. The mapping lives as long as the `SharedPage` and is
//! unmapped once, when it is dropped; references cannot outlive it. A page from a fresh mapping is aligned to at
//! least 4096 bytes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// How many threads of one process can run elements at once.
pub(crate) const SLOTS: usize = 64;
/// How many async elements of one process can be under way at once.
pub(crate) const PARKED: usize = 1024;

#[repr(C, align(64))]
struct Slot {
    /// The element being run plus 1, or 0.
    element: AtomicU32,
    /// When it began, in nanoseconds of the monotonic clock.
    since: AtomicU64,
}

#[repr(C, align(64))]
struct Layout {
    memory_limit: AtomicU64,
    stack_size: AtomicU64,
    farewell: AtomicU32,
    started: AtomicU32,
    call: AtomicU64,
    forwarded: [AtomicU64; 2],
    marks: [AtomicU64; 2],
    deadline: AtomicU64,
    slots: [Slot; SLOTS],
    parked: [AtomicU32; PARKED],
}

/// An element that a process is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// The call.
    pub call: u64,
    /// The element, from the call's first.
    pub element: u32,
    /// When it began, in nanoseconds of the monotonic clock.
    pub since: u64,
}

/// The mapped page.
#[derive(Debug)]
pub struct SharedPage {
    layout: NonNull<Layout>,
}

// SAFETY: the page is only accessed through atomics, and unmapping it needs no particular thread.
unsafe impl Send for SharedPage {}
// SAFETY: as above.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// A new page, all zero, and the file to pass to the process.
    pub fn create() -> io::Result<(Self, OwnedFd)> {
        let file =
            rustix::fs::memfd_create("rustwren-page", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, size_of::<Layout>() as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let page = Self::open(&file)?;
        Ok((page, file))
    }

    /// Maps the page that a supervisor created.
    pub fn open(file: impl AsFd) -> io::Result<Self> {
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let size = rustix::fs::fstat(&file)?.st_size;
        if u64::try_from(size) != Ok(size_of::<Layout>() as u64) {
            return Err(wrong("the shared page has the wrong size"));
        }
        if !rustix::fs::fcntl_get_seals(&file)?.contains(SealFlags::SHRINK) {
            return Err(wrong("the shared page is not sealed"));
        }
        // SAFETY: a new mapping at an address of the kernel's choosing touches no memory in use.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                size_of::<Layout>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &file,
                0,
            )?
        };
        let layout = NonNull::new(address.cast()).ok_or_else(|| wrong("the shared page is at address 0"))?;
        Ok(Self { layout })
    }

    #[inline]
    fn layout(&self) -> &Layout {
        // SAFETY: mapped until `self` is dropped, large enough, aligned, and made of atomics; see the module.
        unsafe { self.layout.as_ref() }
    }

    /// What the supervisor tells the process before it starts: bytes of data it may use (0: no limit) and the
    /// stack of threads that run tasks.
    pub fn set_limits(&self, memory: u64, stack: u64) {
        self.layout().memory_limit.store(memory, Ordering::Release);
        self.layout().stack_size.store(stack, Ordering::Release);
    }

    /// What [`Self::set_limits`] said.
    pub fn limits(&self) -> (u64, u64) {
        (self.layout().memory_limit.load(Ordering::Acquire), self.layout().stack_size.load(Ordering::Acquire))
    }

    /// The supervisor notes when the invocation that the process works on ends, in nanoseconds of the monotonic clock;
    /// 0 where it may last as long as it takes.
    #[inline]
    pub fn set_deadline(&self, nanos: u64) {
        self.layout().deadline.store(nanos, Ordering::Release);
    }

    /// What [`Self::set_deadline`] said.
    pub fn deadline(&self) -> u64 {
        self.layout().deadline.load(Ordering::Acquire)
    }

    /// The process notes that it ends itself because its connection is broken.
    pub fn set_disconnected(&self) {
        self.layout().farewell.store(1, Ordering::Release);
    }

    /// Whether it noted that.
    pub fn is_disconnected(&self) -> bool {
        self.layout().farewell.load(Ordering::Acquire) != 0
    }

    /// The process begins a call.
    #[inline]
    pub fn begin_call(&self, call: u64) {
        self.layout().started.store(0, Ordering::Relaxed);
        self.layout().call.store(call, Ordering::Release);
    }

    /// The call begun last.
    pub fn call(&self) -> u64 {
        self.layout().call.load(Ordering::Acquire)
    }

    /// The process notes how many elements of the call it has begun.
    #[inline]
    pub fn set_started(&self, elements: u32) {
        self.layout().started.fetch_max(elements, Ordering::Relaxed);
    }

    /// The same where one thread alone does so.
    #[inline]
    pub fn set_started_alone(&self, elements: u32) {
        self.layout().started.store(elements, Ordering::Relaxed);
    }

    /// How many elements of the call begun last have been begun.
    pub fn started(&self) -> u32 {
        self.layout().started.load(Ordering::Acquire)
    }

    /// A thread goes into an element. Slots beyond the last are not recorded.
    #[inline]
    pub fn enter(&self, slot: usize, element: u32, since: u64) {
        if let Some(slot) = self.layout().slots.get(slot) {
            slot.since.store(since, Ordering::Release);
            slot.element.store(element + 1, Ordering::Release);
        }
    }

    /// A thread has left its element.
    #[inline]
    pub fn leave(&self, slot: usize) {
        if let Some(slot) = self.layout().slots.get(slot) {
            slot.element.store(0, Ordering::Release);
        }
    }

    /// The elements that threads are inside of now.
    pub fn busy(&self) -> impl Iterator<Item = Busy> + '_ {
        self.layout().slots.iter().filter_map(|slot| {
            // Entering writes `since`, then `element`: if the second reading is like the first, what was read
            // in between belongs to it. If not, the process is just changing elements and is not stuck in one.
            let call = self.call();
            let element = slot.element.load(Ordering::Acquire);
            let since = slot.since.load(Ordering::Acquire);
            let same = slot.element.load(Ordering::Acquire) == element && self.call() == call;
            (element != 0 && same).then(|| Busy { call, element: element - 1, since })
        })
    }

    /// Notes an async element as under way in a free place, or nothing beyond the last.
    #[inline]
    pub fn park(&self, place: usize, element: u32) {
        if let Some(parked) = self.layout().parked.get(place) {
            parked.store(element + 1, Ordering::Release);
        }
    }

    /// The async element in this place is over.
    #[inline]
    pub fn unpark(&self, place: usize) {
        if let Some(parked) = self.layout().parked.get(place) {
            parked.store(0, Ordering::Release);
        }
    }

    /// The async elements under way.
    pub fn parked(&self) -> impl Iterator<Item = u32> + '_ {
        self.layout().parked.iter().filter_map(|place| place.load(Ordering::Acquire).checked_sub(1))
    }

    /// The process notes up to where it has read its own output (0: stdout, 1: stderr), and where the output of
    /// the running element begins.
    pub fn set_output(&self, stream: usize, mark: u64, forwarded: u64) {
        if let (Some(m), Some(f)) = (self.layout().marks.get(stream), self.layout().forwarded.get(stream)) {
            m.store(mark, Ordering::Release);
            f.store(forwarded, Ordering::Release);
        }
    }

    /// What [`Self::set_output`] said: mark and forwarded.
    pub fn output(&self, stream: usize) -> (u64, u64) {
        match (self.layout().marks.get(stream), self.layout().forwarded.get(stream)) {
            (Some(m), Some(f)) => (m.load(Ordering::Acquire), f.load(Ordering::Acquire)),
            _ => (0, 0),
        }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length, unmapped only here, and no reference into it is left.
        let unmapped = unsafe { rustix::mm::munmap(self.layout.as_ptr().cast(), size_of::<Layout>()) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_see_the_same() {
        let (ours, file) = SharedPage::create().unwrap();
        let theirs = SharedPage::open(&file).unwrap();
        ours.set_limits(1 << 30, 8 << 20);
        ours.set_deadline(77);
        assert_eq!((theirs.limits(), theirs.deadline()), ((1 << 30, 8 << 20), 77));
        theirs.begin_call(5);
        theirs.enter(3, 0, 1000);
        theirs.set_started(1);
        theirs.park(1023, 9);
        theirs.set_output(1, 10, 20);
        let busy: Vec<_> = ours.busy().collect();
        assert_eq!(busy, [Busy { call: 5, element: 0, since: 1000 }]);
        assert_eq!((ours.started(), ours.parked().collect::<Vec<_>>()), (1, vec![9]));
        assert_eq!((ours.output(0), ours.output(1)), ((0, 0), (10, 20)));
        theirs.leave(3);
        theirs.unpark(1023);
        assert_eq!((ours.busy().count(), ours.parked().count()), (0, 0));
    }

    #[test]
    fn places_beyond_the_page_are_ignored() {
        let (page, _file) = SharedPage::create().unwrap();
        page.enter(SLOTS, 1, 1);
        page.park(PARKED, 1);
        page.set_output(2, 1, 1);
        assert_eq!((page.busy().count(), page.parked().count()), (0, 0));
    }

    #[test]
    fn other_files_are_refused() {
        let unsealed = rustix::fs::memfd_create("page", MemfdFlags::CLOEXEC).unwrap();
        assert!(SharedPage::open(&unsealed).is_err());
        rustix::fs::ftruncate(&unsealed, size_of::<Layout>() as u64).unwrap();
        assert!(SharedPage::open(&unsealed).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_page_that_was_scribbled_over_is_read_without_panic(
            scribbles in proptest::collection::vec((0..size_of::<Layout>() / 8, proptest::num::u64::ANY), 0..200),
            fill: u8,
        ) {
            let (page, file) = SharedPage::create().unwrap();
            rustix::io::pwrite(&file, &vec![fill; size_of::<Layout>()], 0).unwrap();
            for (at, value) in scribbles {
                rustix::io::pwrite(&file, &value.to_ne_bytes(), at as u64 * 8).unwrap();
            }
            proptest::prop_assert!(page.busy().count() <= SLOTS && page.parked().count() <= PARKED);
            let _read = (page.limits(), page.deadline(), page.is_disconnected(), page.call(), page.started());
            let _read = [0, 1, 2, usize::MAX].map(|stream| page.output(stream));
        }
    }
}
