//! What an executable says of itself: which machine, which C library, how it is started.
//!
//! Only the program headers and the dynamic segment are read, as the loader does, so a program whose section
//! headers were stripped reads the same. The `object` crate does the reading.

use std::fs::File;

use object::Endianness;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef, StringTable};

use crate::error::{Error, ErrorKind, Result};

/// No real program names more versions of its libraries; the bound keeps a damaged one from costing time.
const MAX_VERSIONS: usize = 65_536;

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An ELF program, as Linux starts.
    Elf,
    /// An ELF file that is not a program: a shared library without entry point, an object file, a core dump.
    ElfOther,
    /// A program of macOS.
    MachO,
    /// A program of Windows.
    Pe,
    /// A script, started by another program.
    Script,
    /// None of these.
    Unknown,
}

/// How a program comes by its libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// It contains all it needs.
    Static,
    /// An interpreter loads libraries for it.
    Dynamic,
}

/// What an executable says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfInfo {
    /// What kind of file it is. The other fields are only told of ELF files.
    pub format: Format,
    /// The machine, named as [`std::env::consts::ARCH`] names it: `x86_64`, `aarch64`. A machine without such a
    /// name is `elf machine N`; empty for files that are not ELF.
    pub arch: String,
    /// Whether it needs libraries at run time.
    pub linkage: Linkage,
    /// Whether it can be loaded at any address.
    pub pie: bool,
    /// The loader it asks for: `/lib64/ld-linux-x86-64.so.2`.
    pub interpreter: Option<String>,
    /// The lowest version of the GNU C library that can run it, where it needs one.
    pub glibc: Option<(u32, u32)>,
    /// Whether it is loaded by musl's loader. A static program does not tell which C library it contains.
    pub musl: bool,
}

impl ElfInfo {
    /// Reads an executable from memory.
    ///
    /// An ELF file that contradicts itself is [`ErrorKind::Incompatible`]; anything else is told by
    /// [`ElfInfo::format`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        read(bytes)
    }

    /// Reads only as much of an open file as is needed, some kilobytes. Moves the file's cursor.
    pub(super) fn of_file(file: &File) -> Result<Self> {
        read(&ReadCache::new(file))
    }

    fn other(format: Format) -> Self {
        Self {
            format,
            arch: String::new(),
            linkage: Linkage::Static,
            pie: false,
            interpreter: None,
            glibc: None,
            musl: false,
        }
    }
}

fn read<'data, R: ReadRef<'data>>(data: R) -> Result<ElfInfo> {
    let start = data.len().and_then(|len| data.read_bytes_at(0, len.min(5))).unwrap_or_default();
    let format = match start {
        [0x7f, b'E', b'L', b'F', class] => {
            let info = match *class {
                1 => read_class::<FileHeader32<Endianness>, R>(data),
                2 => read_class::<FileHeader64<Endianness>, R>(data),
                _ => Err("unknown ELF class".to_owned()),
            };
            return info.map_err(|what| {
                Error::new(ErrorKind::Incompatible, format!("the program's ELF headers are damaged: {what}"))
            });
        }
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
        | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
        | [0xca, 0xfe, 0xba, 0xbe, ..] => Format::MachO,
        [b'M', b'Z', ..] => Format::Pe,
        [b'#', b'!', ..] => Format::Script,
        _ => Format::Unknown,
    };
    Ok(ElfInfo::other(format))
}

fn text(error: object::read::Error) -> String {
    error.to_string()
}

fn read_class<'data, H, R>(data: R) -> Result<ElfInfo, String>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = H::parse(data).map_err(text)?;
    let endian = header.endian().map_err(text)?;
    let segments = header.program_headers(endian, data).map_err(text)?;
    let mut info = ElfInfo::other(Format::Elf);
    info.arch = arch(header.e_machine(endian), header.is_type_64());

    let mut dynamics: &[H::Dyn] = &[];
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data).map_err(text)? {
            info.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
        if let Some(found) = segment.dynamic(endian, data).map_err(text)? {
            dynamics = found;
        }
    }
    let entry = |tag| {
        dynamics
            .iter()
            .take_while(|d| d.tag(endian) != elf::DT_NULL)
            .find(|d| d.tag(endian) == tag)
            .map(|d| d.val(endian))
    };

    let loader = info.interpreter.as_deref().unwrap_or_default();
    info.musl = loader.rsplit('/').next().is_some_and(|name| name.starts_with("ld-musl-"));
    if info.interpreter.is_some() || entry(elf::DT_NEEDED).is_some() {
        info.linkage = Linkage::Dynamic;
    }
    let says_pie = entry(elf::DT_FLAGS_1).is_some_and(|flags| flags & elf::DF_1_PIE.0 != 0);
    let kind = header.e_type(endian);
    info.pie = kind == elf::ET_DYN;
    // A static PIE has no interpreter, and old linkers do not flag it; what nothing can enter is no program.
    let enters = info.interpreter.is_some() || says_pie || header.e_entry(endian).into() != 0;
    if !(kind == elf::ET_EXEC || kind == elf::ET_DYN && enters) || segments.is_empty() {
        info.format = Format::ElfOther;
    }

    if let Some(needs) = entry(elf::DT_VERNEED) {
        let offset = |address| file_offset::<H>(segments, endian, address);
        let needs = offset(needs).ok_or("the table of needed versions is not in the file")?;
        let names =
            entry(elf::DT_STRTAB).and_then(offset).ok_or("the dynamic strings are not in the file")?;
        let size = entry(elf::DT_STRSZ).unwrap_or(0);
        let names = StringTable::new(data, names.0, names.0.saturating_add(size).min(names.1));
        info.glibc = newest_glibc::<R>(data, endian, needs.0, names)?;
    }
    Ok(info)
}

/// Where in the file the byte at a virtual address lies, and where its segment's part of the file ends.
fn file_offset<H: FileHeader<Endian = Endianness>>(
    segments: &[H::ProgramHeader],
    endian: Endianness,
    address: u64,
) -> Option<(u64, u64)> {
    segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
        let (offset, size) = segment.file_range(endian);
        let within = address.checked_sub(segment.p_vaddr(endian).into()).filter(|&within| within < size)?;
        Some((offset.checked_add(within)?, offset.checked_add(size)?))
    })
}

/// The newest version of glibc among the versions of libraries that the loader will insist on.
fn newest_glibc<'data, R: ReadRef<'data>>(
    data: R,
    endian: Endianness,
    mut need_at: u64,
    names: StringTable<'data, R>,
) -> Result<Option<(u32, u32)>, String> {
    const DAMAGED: &str = "the table of needed versions ends early";
    let mut newest = None;
    let mut seen = 0;
    loop {
        let need = data.read_at::<elf::Verneed<Endianness>>(need_at).map_err(|()| DAMAGED)?;
        let mut version_at = need_at.saturating_add(need.vn_aux.get(endian).into());
        for _ in 0..need.vn_cnt.get(endian) {
            seen += 1;
            if seen > MAX_VERSIONS {
                return Err("the table of needed versions has no end".to_owned());
            }
            let version = data.read_at::<elf::Vernaux<Endianness>>(version_at).map_err(|()| DAMAGED)?;
            // The loader starts a program without a version that only weak symbols have.
            if version.vna_flags.get(endian).0 & elf::VER_FLG_WEAK.0 == 0 {
                let name = names.get(version.vna_name.get(endian)).map_err(|()| DAMAGED)?;
                newest = newest.max(glibc_version(name));
            }
            version_at = version_at.saturating_add(version.vna_next.get(endian).into());
        }
        seen += 1;
        match need.vn_next.get(endian) {
            0 => return Ok(newest),
            _ if seen > MAX_VERSIONS => return Err("the table of needed versions has no end".to_owned()),
            next => need_at = need_at.saturating_add(next.into()),
        }
    }
}

/// The release of glibc that first had this symbol version.
fn glibc_version(name: &[u8]) -> Option<(u32, u32)> {
    let version = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    match version {
        // Features of the loader, named instead of numbered.
        "ABI_DT_RELR" => return Some((2, 36)),
        "ABI_GNU_TLS" | "ABI_GNU2_TLS" => return Some((2, 42)),
        _ => {}
    }
    let mut numbers = version.split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return None;
    };
    Some((major, minor))
}

fn arch(machine: elf::Machine, is_64: bool) -> String {
    let name = match (machine, is_64) {
        (elf::EM_X86_64, true) => "x86_64",
        // Pointers of 32 bits on a machine of 64: a platform of its own, which nobody offers.
        (elf::EM_X86_64, false) => "x32",
        (elf::EM_AARCH64, true) => "aarch64",
        (elf::EM_386, _) => "x86",
        (elf::EM_ARM, _) => "arm",
        (elf::EM_RISCV, true) => "riscv64",
        (elf::EM_RISCV, false) => "riscv32",
        (elf::EM_PPC64, _) => "powerpc64",
        (elf::EM_PPC, _) => "powerpc",
        (elf::EM_S390, true) => "s390x",
        (elf::EM_LOONGARCH, true) => "loongarch64",
        (elf::EM_MIPS, true) => "mips64",
        (elf::EM_MIPS, false) => "mips",
        (elf::EM_SPARCV9, _) => "sparc64",
        _ => return format!("elf machine {}", machine.0),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{ElfSpec, small_elf, this_executable};
    use super::*;

    #[test]
    fn this_test_tells_what_it_is() {
        let info = ElfInfo::read(this_executable()).unwrap();
        assert_eq!((info.format, info.arch.as_str()), (Format::Elf, std::env::consts::ARCH));
        if cfg!(target_env = "gnu") {
            assert_eq!(info.linkage, Linkage::Dynamic);
            assert!(info.glibc.is_some_and(|v| v >= (2, 2)), "{info:?}");
            assert!(!info.musl && info.interpreter.is_some());
        }
    }

    #[test]
    fn a_file_reads_like_its_bytes() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(ElfInfo::of_file(&file).unwrap(), ElfInfo::read(this_executable()).unwrap());
    }

    #[test]
    fn the_newest_strong_version_counts() {
        let spec = ElfSpec {
            versions: vec![
                ("GLIBC_2.2.5", false),
                ("GLIBC_2.34", false),
                ("GLIBC_2.9", false),
                ("GLIBC_2.39", true),
                ("GCC_3.0", false),
                ("GLIBC_PRIVATE", false),
            ],
            ..ElfSpec::default()
        };
        let info = ElfInfo::read(&small_elf(&spec)).unwrap();
        assert_eq!(info.glibc, Some((2, 34)));
        assert_eq!(info.interpreter.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        assert!(info.pie && !info.musl);
    }

    #[test]
    fn loader_features_are_versions_too() {
        assert_eq!(glibc_version(b"GLIBC_ABI_DT_RELR"), Some((2, 36)));
        assert_eq!(glibc_version(b"GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc_version(b"GLIBCXX_3.4"), None);
    }

    #[test]
    fn static_and_musl_are_told_apart() {
        let none = ElfSpec { interpreter: None, ..ElfSpec::default() };
        let info = ElfInfo::read(&small_elf(&none)).unwrap();
        assert_eq!((info.linkage, info.glibc, info.format), (Linkage::Static, None, Format::Elf));
        let musl = ElfSpec { interpreter: Some("/lib/ld-musl-x86_64.so.1"), ..ElfSpec::default() };
        let info = ElfInfo::read(&small_elf(&musl)).unwrap();
        assert!(info.musl && info.linkage == Linkage::Dynamic);
    }

    #[test]
    fn other_formats_are_named() {
        let format = |bytes: &[u8]| ElfInfo::read(bytes).unwrap().format;
        assert_eq!(format(&[0xcf, 0xfa, 0xed, 0xfe, 7, 0]), Format::MachO);
        assert_eq!(format(b"MZ\x90\0\x03"), Format::Pe);
        assert_eq!(format(b"#!/bin/sh\n"), Format::Script);
        assert_eq!(format(b""), Format::Unknown);
        let object = ElfSpec { kind: 1, ..ElfSpec::default() };
        assert_eq!(format(&small_elf(&object)), Format::ElfOther);
    }

    #[test]
    fn a_cut_program_is_an_error() {
        let whole = small_elf(&ElfSpec { versions: vec![("GLIBC_2.34", false)], ..ElfSpec::default() });
        let error = ElfInfo::read(&whole[..200]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, class in 0_u8..4, order in 0_u8..4) {
            let _: Result<_> = ElfInfo::read(&bytes);
            let mut elf = vec![0x7f, b'E', b'L', b'F', class, order, 1];
            elf.extend(bytes);
            let _: Result<_> = ElfInfo::read(&elf);
        }

        #[test]
        fn a_mutated_program_is_read_without_panic(
            changes in prop::collection::vec((0_usize..4096, any::<u8>()), 1..12),
            cut in 0_usize..8192,
        ) {
            let mut bytes = this_executable()[..this_executable().len().min(1 << 16)].to_vec();
            bytes.truncate(bytes.len().saturating_sub(cut));
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            let _: Result<_> = ElfInfo::read(&bytes);
        }

        #[test]
        fn a_mutated_small_program_is_read_without_panic(
            changes in prop::collection::vec((0_usize..1024, any::<u8>()), 1..6),
        ) {
            let spec = ElfSpec { versions: vec![("GLIBC_2.34", false)], ..ElfSpec::default() };
            let mut bytes = small_elf(&spec);
            for (at, value) in changes {
                let len = bytes.len();
                bytes[at % len] = value;
            }
            let _: Result<_> = ElfInfo::read(&bytes);
        }
    }
}
