//! From a function to a number and back: how a closure crosses to another process of the same program.
//!
//! # How it works
//!
//! For every function type `F` that is mapped, the compiler makes one constant [`Descriptor`] that holds pointers
//! to the code that runs `F`. Where it lies, relative to [`ANCHOR`], is fixed at link time: the loader moves a
//! program as a whole. So `descriptor - anchor` means the same in every process of one image.
//!
//! # Safety argument
//!
//! 1. [`from_offset`] turns a number that came from another process into a reference. It does so only when
//!    both run the same image (`core::task::resolve` establishes that); when the address is aligned for
//!    `Descriptor` and all of it lies in one mapping of this executable that is readable and not writable, so
//!    that reading it is no fault and no race, and lasts as long as the process (an executable is never
//!    unmapped); and when the two magic words are there. They occur in no other constant of the program: the
//!    comparison is made with masked values that are unmasked at run time. So what lies there was made by
//!    `Descriptor::new`. Even an offset that was tampered with leads to a refusal or to another mapped function
//!    of the program, whose type name and calling convention are then compared.
//! 2. [`conjure`] makes a value of a zero-sized `Copy` type from nothing. Reading zero bytes through a dangling,
//!    aligned pointer is defined. That a value of the type may exist at all is witnessed by the client: the
//!    descriptor of `F` is only ever named by a caller that holds an `F` (`core::task` takes it by value), and
//!    `Copy` allows any number of further ones. A type whose *existence in this process* is a proof of something
//!    (a token made by initialising this process) must not be captured; being `Copy` and zero-sized it is not
//!    likely to be, and the documentation of `map` says so.

use std::hint::black_box;

use crate::entry::Call;
use crate::worker::Function;

const MAGIC: [u64; 2] = [0x9d5c_3b1f_e07a_6284, 0x61f0_c7aa_1e8b_d943];
const MASK: [u64; 2] = [0x5a5a_a5a5_3c3c_c3c3, 0x0ff0_f00f_9669_6996];
const MASKED: [u64; 2] = [MAGIC[0] ^ MASK[0], MAGIC[1] ^ MASK[1]];

/// The fixed point that offsets are measured from. Its content does not matter.
static ANCHOR: [u8; 16] = *b"rustwren anchor\0";

/// Everything a worker needs to run one function.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Descriptor {
    magic: [u64; 2],
    /// How the function is applied.
    pub(crate) call: Call,
    /// The name of the function's type.
    pub(crate) type_name: fn() -> &'static str,
    /// The code.
    pub(crate) function: Function,
}

impl Descriptor {
    /// A descriptor of the function type that `type_name` names.
    pub(crate) const fn new(call: Call, type_name: fn() -> &'static str, function: Function) -> Self {
        Self { magic: MAGIC, call, type_name, function }
    }
}

/// A value of a function type that holds no data. Does not compile for types that do.
pub(crate) fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "only functions that capture nothing can be made in another process") };
    // SAFETY: point 2 of the module's argument; the assertion above makes this a read of no bytes.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}

fn anchor() -> usize {
    (&raw const ANCHOR).expose_provenance()
}

/// Where a descriptor lies, counted from the anchor.
pub(crate) fn to_offset(descriptor: &'static Descriptor) -> i64 {
    let address = std::ptr::from_ref(descriptor).expose_provenance();
    address.wrapping_sub(anchor()).cast_signed() as i64
}

/// The descriptor at an offset, or why there is none. `program` are the read-only mappings of this executable.
pub(crate) fn from_offset(offset: i64, program: &[Mapping]) -> Result<&'static Descriptor, &'static str> {
    let address = anchor().wrapping_add_signed(offset as isize);
    if !address.is_multiple_of(align_of::<Descriptor>()) {
        return Err("the offset is not aligned");
    }
    let end = address.checked_add(size_of::<Descriptor>()).ok_or("the offset is out of range")?;
    if !program.iter().any(|m| m.start <= address && end <= m.end) {
        return Err("the offset is outside the program's constants");
    }
    let words = std::ptr::with_exposed_provenance::<u64>(address);
    for i in 0..2 {
        // SAFETY: point 1: aligned, mapped readable, never written. Any bytes are a valid u64.
        let word = unsafe { words.add(i).read() };
        if word ^ black_box(MASK[i]) != MASKED[i] {
            return Err("there is no function at the offset");
        }
    }
    // SAFETY: point 1: this is a constant made by `Descriptor::new`.
    Ok(unsafe { &*std::ptr::with_exposed_provenance::<Descriptor>(address) })
}

/// A range of addresses of this executable that is mapped readable and not writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The read-only mappings of the executable that holds the anchor, from the text of `/proc/self/maps`.
pub(crate) fn program_mappings(maps: &str) -> Vec<Mapping> {
    let lines: Vec<(Mapping, &str, (&str, &str))> = maps.lines().filter_map(parse_map_line).collect();
    let here = anchor();
    let Some((_, _, file)) = lines.iter().find(|(m, _, _)| m.start <= here && here < m.end) else {
        return Vec::new();
    };
    let file = *file;
    let mut found: Vec<Mapping> = Vec::new();
    for (mapping, flags, of) in lines {
        if of == file && flags.starts_with('r') && !flags[1..].starts_with('w') {
            // Neighbours are joined: a constant may lie across the border of two segments' pages.
            match found.last_mut() {
                Some(last) if last.end == mapping.start => last.end = mapping.end,
                _ => found.push(mapping),
            }
        }
    }
    found
}

/// `start-end flags offset device inode path` -> range, flags, (device, inode).
fn parse_map_line(line: &str) -> Option<(Mapping, &str, (&str, &str))> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let mapping =
        Mapping { start: usize::from_str_radix(start, 16).ok()?, end: usize::from_str_radix(end, 16).ok()? };
    let flags = fields.next().filter(|f| f.len() >= 4 && f.is_ascii())?;
    let (_offset, device, inode) = (fields.next()?, fields.next()?, fields.next()?);
    Some((mapping, flags, (device, inode)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::failure::TaskFailure;
    use crate::worker::Chunk;

    #[expect(clippy::unnecessary_wraps, reason = "the signature of Function::open")]
    fn open(_: &[u8]) -> Result<Box<dyn std::any::Any + Send + Sync>, TaskFailure> {
        Ok(Box::new(()))
    }
    fn run(_: &Chunk<'_>, _: &(dyn std::any::Any + Send + Sync)) {}

    struct Of<F>(F);
    impl<F: 'static> Of<F> {
        const IT: &'static Descriptor =
            &Descriptor::new(Call::Map, std::any::type_name::<F>, Function { open, run });
    }

    fn descriptor<F: 'static>(_: F) -> &'static Descriptor {
        Of::<F>::IT
    }

    fn mappings() -> Vec<Mapping> {
        program_mappings(&std::fs::read_to_string("/proc/self/maps").unwrap())
    }

    #[test]
    fn an_offset_leads_back_to_its_descriptor() {
        let maps = mappings();
        for d in [descriptor(|x: u8| x), descriptor(|x: u8| x + 1), descriptor(open)] {
            let back = from_offset(to_offset(d), &maps).unwrap();
            assert!(std::ptr::eq(back, d));
            assert_eq!((back.type_name)(), (d.type_name)());
        }
    }

    #[test]
    fn offsets_beside_a_descriptor_are_refused() {
        let maps = mappings();
        let right = to_offset(descriptor(|| ()));
        for delta in (-64..64_i64).filter(|d| *d != 0) {
            match from_offset(right + delta, &maps) {
                Err(_) => {}
                // Another descriptor may be its neighbour; that is one, then.
                Ok(other) => assert_eq!(to_offset(other), right + delta),
            }
        }
    }

    #[test]
    fn extreme_offsets_are_refused() {
        let maps = mappings();
        for offset in [i64::MIN, i64::MAX, i64::MIN + 8, -1, 0, 1 << 40, -(1 << 40)] {
            assert!(from_offset(offset, &maps).is_err(), "{offset}");
        }
        assert!(from_offset(to_offset(descriptor(|| 1)), &[]).is_err());
    }

    #[test]
    fn a_function_without_data_is_made_from_nothing() {
        fn double(x: u32) -> u32 {
            x * 2
        }
        fn again<F: Fn(u32) -> u32 + Copy>(_: F) -> u32 {
            conjure::<F>()(21)
        }
        assert_eq!((again(double), again(|x| x + 1)), (42, 22));
    }

    proptest! {
        #[test]
        fn any_offset_near_the_program_is_refused_or_a_descriptor(offset in -(1_i64 << 26)..1 << 26) {
            if let Ok(found) = from_offset(offset, &mappings()) {
                prop_assert_eq!(to_offset(found), offset);
            }
        }

        #[test]
        fn any_text_is_read_as_maps_without_panic(text: String) {
            program_mappings(&text);
        }

        #[test]
        fn any_nearly_right_maps_are_read_without_panic(
            text in "([0-9a-f]{0,17}-?[0-9a-f]{0,17} ?[rwxps-]{0,5} ?[0-9a-f]{0,9} [0-9:]{0,5} [0-9]{0,4} {0,3}[a-z/\u{e9}]{0,9}\n){0,9}",
            size in 0..1_usize << 40,
        ) {
            // With the mapping that holds the anchor, so that it is read to its end.
            let here = anchor();
            let (start, end) = (here.saturating_sub(size), here.saturating_add(size | 1));
            let text = format!("{text}{start:x}-{end:x} r--p 0 8:1 7 /p\n{text}");
            let found = program_mappings(&text);
            prop_assert!(found.len() <= text.lines().count());
        }
    }
}
