//! The hash of C sources; also part of the build script.

/// FNV-1a of 64 bits over name, NUL, contents, NUL of each file, in the order of names; empty without files. It tells
/// releases apart and protects from nothing.
pub fn hash(files: &[(String, Vec<u8>)]) -> String {
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    let bytes = files.iter().flat_map(|(name, contents)| [name.as_bytes(), b"\0", contents, b"\0"].concat());
    let hash = |value: u64, byte: u8| (value ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    match files.is_empty() {
        true => String::new(),
        false => format!("{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, hash)),
    }
}

/// Returns the C files of a directory, with their contents; none if there is no such directory.
///
/// # Errors
///
/// That one cannot be read.
pub fn sources(dir: &std::path::Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "c" || end == "h") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, std::fs::read(&path)?));
        }
    }
    Ok(files)
}
