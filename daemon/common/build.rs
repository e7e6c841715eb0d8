//! Passes the hashes of the loaders' C sources to the compiler, so that a daemon uses no objects of other sources.

#[allow(unreachable_pub, reason = "its functions are public in the library")]
#[path = "src/native_hash.rs"]
mod native_hash;

use std::path::Path;

fn main() -> std::io::Result<()> {
    for language in ["ruby", "python"] {
        let dir = Path::new("../loaders").join(language).join("native");
        let files = native_hash::sources(&dir)?;
        if dir.is_dir() {
            println!("cargo::rerun-if-changed={}", dir.display());
        }
        println!("cargo::rustc-env=NATIVE_{}={}", language.to_uppercase(), native_hash::hash(&files));
    }
    println!("cargo::rerun-if-changed=src/native_hash.rs");
    Ok(())
}
