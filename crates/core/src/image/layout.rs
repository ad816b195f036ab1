//! Which part of an executable is shipped.
//!
//! What a loader maps is described by the program headers, and in every usual layout it comes first in the file:
//! debug sections, the symbol table and the section headers follow. The image is the file up to there, with the
//! three header fields that lead to the section headers cleared. No byte moves, so every address and offset
//! within what is loaded stays as it was.
//!
//! What is not of that layout is shipped as it is: other formats, damaged headers, programs that carry data of
//! their own after the last segment (self-extracting ones, appended archives, sections with unknown names).

use std::borrow::Cow;
use std::fs::File;

use object::Endianness;
use object::elf::{self, FileHeader32, FileHeader64};
use object::endian::{U16, U32, U64};
use object::pod::{Pod, bytes_of};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};

/// Sections that no running program looks for in its own file.
const DROPPED: [&[u8]; 8] =
    [b".debug_", b".zdebug_", b".gdb_", b".gnu_debug", b".gnu.debug", b".stab", b".comment", b".note"];

/// The part of an executable that is shipped: `header`, then the file from `header.len()` to `keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes that replace the first ones of the file; empty where nothing is dropped.
    pub(super) header: Vec<u8>,
    /// How much of the file is shipped, from its start.
    pub(super) keep: u64,
}

impl Layout {
    /// Of an executable in memory.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        of(bytes)
    }

    /// Of an open file, of which only the headers are read. Moves the file's cursor.
    pub(super) fn of_file(file: &File) -> Self {
        of(&ReadCache::new(file))
    }

    /// The shipped bytes of an executable in memory, whose layout this is.
    pub(super) fn apply<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX).min(bytes.len());
        match bytes.get(self.header.len()..keep) {
            Some(rest) if !self.header.is_empty() => Cow::Owned([&self.header, rest].concat()),
            _ => Cow::Borrowed(&bytes[..keep]),
        }
    }
}

fn of<'data, R: ReadRef<'data>>(data: R) -> Layout {
    let len = data.len().unwrap_or(0);
    let found = match data.read_bytes_at(0, 5) {
        Ok([0x7f, b'E', b'L', b'F', 1]) => find::<FileHeader32<Endianness>, R>(data, len),
        Ok([0x7f, b'E', b'L', b'F', 2]) => find::<FileHeader64<Endianness>, R>(data, len),
        _ => None,
    };
    found.unwrap_or(Layout { header: Vec::new(), keep: len })
}

/// The shorter layout, where there is one that is certain to be safe.
fn find<'data, H, R>(data: R, len: u64) -> Option<Layout>
where
    H: FileHeader<Endian = Endianness> + WithoutSections,
    R: ReadRef<'data>,
{
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let kind = header.e_type(endian);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return None;
    }
    // A count of segments that overflows its field is kept in the section headers.
    if header.e_phnum(endian) == elf::PN_XNUM {
        return None;
    }
    let segments = header.program_headers(endian, data).ok()?;
    if !segments.iter().any(|s| s.p_type(endian) == elf::PT_LOAD) {
        return None;
    }
    let table: u64 = header.e_phoff(endian).into();
    let mut keep = table.checked_add(size_of_val(segments) as u64)?.max(size_of::<H>() as u64);
    for segment in segments {
        let (offset, size) = segment.file_range(endian);
        if size > 0 {
            keep = keep.max(offset.checked_add(size)?);
        }
    }
    // Equal: stripped already. Longer than the file: cut, and not ours to mend.
    if keep >= len {
        return None;
    }

    // Everything after `keep` must be known to be dead weight.
    let sections = header.sections(endian, data).ok()?;
    let table: u64 = header.e_shoff(endian).into();
    let mut covered = table.checked_add(size_of::<H::SectionHeader>() as u64 * sections.len() as u64)?;
    for section in sections.iter() {
        let Some((offset, size)) = section.file_range(endian) else {
            continue;
        };
        let end = offset.checked_add(size)?;
        if end <= keep || size == 0 {
            continue;
        }
        covered = covered.max(end);
        let name = sections.section_name(endian, section).ok()?;
        if section.sh_flags(endian).0 & elf::SHF_ALLOC.0 != 0
            || !(is_link_table(section.sh_type(endian))
                || DROPPED.iter().any(|start| name.starts_with(start)))
        {
            return None;
        }
    }
    if covered < len {
        return None;
    }
    Some(Layout { header: header.without_sections(endian), keep })
}

/// Tables for linkers and debuggers: symbols, their strings, relocations.
fn is_link_table(kind: elf::SectionType) -> bool {
    [elf::SHT_SYMTAB, elf::SHT_STRTAB, elf::SHT_REL, elf::SHT_RELA, elf::SHT_GROUP, elf::SHT_SYMTAB_SHNDX]
        .contains(&kind)
}

/// A file header that no longer leads to section headers.
trait WithoutSections: Pod {
    fn without_sections(&self, endian: Endianness) -> Vec<u8>;
}

impl WithoutSections for FileHeader32<Endianness> {
    fn without_sections(&self, endian: Endianness) -> Vec<u8> {
        let mut header = *self;
        header.e_shoff = U32::new(endian, 0);
        header.e_shnum = U16::new(endian, 0);
        header.e_shstrndx = U16::new(endian, elf::SHN_UNDEF);
        bytes_of(&header).to_vec()
    }
}

impl WithoutSections for FileHeader64<Endianness> {
    fn without_sections(&self, endian: Endianness) -> Vec<u8> {
        let mut header = *self;
        header.e_shoff = U64::new(endian, 0);
        header.e_shnum = U16::new(endian, 0);
        header.e_shstrndx = U16::new(endian, elf::SHN_UNDEF);
        bytes_of(&header).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{ElfSpec, small_elf, this_executable};
    use super::*;

    fn strip(bytes: &[u8]) -> Cow<'_, [u8]> {
        Layout::of_bytes(bytes).apply(bytes)
    }

    fn with_section(name: &'static str) -> Vec<u8> {
        small_elf(&ElfSpec { unloaded: Some((name, vec![7; 500])), ..ElfSpec::default() })
    }

    #[test]
    fn debug_sections_go() {
        let bare = small_elf(&ElfSpec::default());
        assert_eq!(strip(&with_section(".debug_info")), bare);
        assert_eq!(strip(&bare), bare);
    }

    #[test]
    fn what_may_be_the_programs_own_stays() {
        let custom = with_section(".my_assets");
        assert_eq!(strip(&custom), custom);
        let mut appended = with_section(".debug_info");
        appended.extend(b"an archive that the program reads out of its own file");
        assert_eq!(strip(&appended), appended);
        let mut appended = small_elf(&ElfSpec::default());
        appended.push(0);
        assert_eq!(strip(&appended), appended);
    }

    #[test]
    fn other_files_are_shipped_whole() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01\x01"] {
            assert_eq!(strip(bytes), bytes);
        }
        let object = small_elf(&ElfSpec {
            kind: 1,
            unloaded: Some((".debug_info", vec![1; 9])),
            ..ElfSpec::default()
        });
        assert_eq!(strip(&object), object);
    }

    #[test]
    fn of_this_test_all_that_is_loaded_stays() {
        let whole = this_executable();
        let stripped = strip(whole);
        assert!(stripped.len() < whole.len(), "{} bytes", whole.len());
        let header = FileHeader64::<Endianness>::parse(whole).unwrap();
        let endian = header.endian().unwrap();
        let segments = header.program_headers(endian, whole).unwrap();
        assert_eq!(
            bytes_of_slice(header.program_headers(endian, &*stripped).unwrap()),
            bytes_of_slice(segments)
        );
        // Of the first segment, which has the file header in it, all but the cleared fields.
        for segment in segments {
            let (offset, size) = segment.file_range(endian);
            let range = offset.max(64) as usize..((offset + size).max(64)) as usize;
            assert_eq!(stripped[range.clone()], whole[range]);
        }
        assert_eq!(stripped[..40], whole[..40]);
    }

    fn bytes_of_slice<T: Pod>(slice: &[T]) -> &[u8] {
        object::pod::bytes_of_slice(slice)
    }

    #[test]
    fn a_file_has_the_layout_of_its_bytes() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(Layout::of_file(&file), Layout::of_bytes(this_executable()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_laid_out_without_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut: prop::sample::Index,
        ) {
            let mut bytes = with_section(".debug_info");
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let cut = cut.index(bytes.len() * 2);
            bytes.truncate(cut);
            let once = strip(&bytes).into_owned();
            prop_assert!(once.len() <= bytes.len());
            // Stripping is done once: what is left has nothing more to drop.
            prop_assert_eq!(strip(&once), &once[..]);
        }
    }
}
