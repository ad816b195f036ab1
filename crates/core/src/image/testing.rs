//! Programs for tests: small ones made to order, and the test itself.

use std::sync::OnceLock;

/// The bytes of the running test.
pub(super) fn this_executable() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::fs::read(std::env::current_exe().unwrap()).unwrap())
}

/// A 64-bit little-endian ELF made to order.
#[derive(Clone)]
pub(super) struct ElfSpec {
    /// `e_type`: 1 object, 2 executable, 3 PIE or library.
    pub(super) kind: u16,
    /// `e_machine`: 62 is x86-64.
    pub(super) machine: u16,
    pub(super) interpreter: Option<&'static str>,
    /// Names of needed versions, and whether they are weak.
    pub(super) versions: Vec<(&'static str, bool)>,
    /// Bytes after everything that is loaded, with the name of the section that covers them.
    pub(super) unloaded: Option<(&'static str, Vec<u8>)>,
}

impl Default for ElfSpec {
    fn default() -> Self {
        Self {
            kind: 3,
            machine: 62,
            interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
            versions: Vec::new(),
            unloaded: None,
        }
    }
}

fn put(out: &mut Vec<u8>, size: usize, value: u64) {
    out.extend_from_slice(&value.to_le_bytes()[..size]);
}

/// Lays an ELF out by hand: header, three program headers, then what they point to, at addresses equal to the
/// offsets in the file.
pub(super) fn small_elf(spec: &ElfSpec) -> Vec<u8> {
    const SEGMENTS: u64 = 3;
    let mut body = Vec::new();
    let base = 64 + 56 * SEGMENTS;
    let at = |body: &Vec<u8>| base + body.len() as u64;

    let interp_at = at(&body);
    body.extend_from_slice(spec.interpreter.unwrap_or("").as_bytes());
    body.push(0);
    let interp_len = at(&body) - interp_at;

    let strings_at = at(&body);
    let mut offsets = Vec::new();
    body.push(0);
    for (name, _) in &spec.versions {
        offsets.push(at(&body) - strings_at);
        body.extend_from_slice(name.as_bytes());
        body.push(0);
    }
    let strings_len = at(&body) - strings_at;

    let need_at = at(&body);
    put(&mut body, 2, 1);
    put(&mut body, 2, spec.versions.len() as u64);
    put(&mut body, 4, 0);
    put(&mut body, 4, 16);
    put(&mut body, 4, 0);
    for (i, (_, weak)) in spec.versions.iter().enumerate() {
        put(&mut body, 4, 0);
        put(&mut body, 2, if *weak { 2 } else { 0 });
        put(&mut body, 2, 0);
        put(&mut body, 4, offsets[i]);
        put(&mut body, 4, if i + 1 == spec.versions.len() { 0 } else { 16 });
    }

    let dynamic_at = at(&body);
    let mut entries = vec![(5, strings_at), (10, strings_len)];
    if !spec.versions.is_empty() {
        entries.push((0x6fff_fffe, need_at));
    }
    entries.push((0, 0));
    for (tag, value) in &entries {
        put(&mut body, 8, *tag);
        put(&mut body, 8, *value);
    }
    let loaded = at(&body);
    let (section_table, section_count) = match &spec.unloaded {
        None => (0, 0),
        Some((name, bytes)) => {
            body.extend_from_slice(bytes);
            let names_at = at(&body);
            body.extend_from_slice(b"\0.shstrtab\0");
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            let names_len = at(&body) - names_at;
            let table = at(&body);
            body.extend_from_slice(&[0; 64]);
            for (name, kind, offset, size) in
                [(11, 1, loaded, bytes.len() as u64), (1, 3, names_at, names_len)]
            {
                put(&mut body, 4, name);
                put(&mut body, 4, kind);
                put(&mut body, 8, 0);
                put(&mut body, 8, 0);
                put(&mut body, 8, offset);
                put(&mut body, 8, size);
                body.extend_from_slice(&[0; 24]);
            }
            (table, 3)
        }
    };

    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    put(&mut out, 2, spec.kind.into());
    put(&mut out, 2, spec.machine.into());
    put(&mut out, 4, 1);
    put(&mut out, 8, base);
    put(&mut out, 8, 64);
    put(&mut out, 8, section_table);
    put(&mut out, 4, 0);
    for field in [64, 56, SEGMENTS, 64, section_count, if section_count == 0 { 0 } else { 2 }] {
        put(&mut out, 2, field);
    }
    let interp = if spec.interpreter.is_some() { 3 } else { 0 };
    for (kind, offset, size) in
        [(1, 0, loaded), (interp, interp_at, interp_len), (2, dynamic_at, 16 * entries.len() as u64)]
    {
        put(&mut out, 4, kind);
        put(&mut out, 4, 5);
        for field in [offset, offset, offset, size, size, 8] {
            put(&mut out, 8, field);
        }
    }
    out.extend(body);
    out
}
