//! Generates the bindings of nginx, `bindings.rs`, and a list of its header fields from the headers in
//! `NGINX_SOURCE_DIR` and `NGINX_BUILD_DIR`.
//!
//! `build/headers.sh` prints both variables for the installed nginx.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Structures and constants are generated with the functions that use them.
const FUNCTIONS: &[&str] = &["access", "ngx_.*"];
const TYPES: &[&str] = &["ngx_.*"];
const CONSTANTS: &[&str] = &["NGX_.*", "ngx_.*", "NGINX_VER.*", "nginx_version", "W_OK", "PASSENGER_.*"];

/// Macros that bindgen does not see, because they are not literals.
const WRAPPER: &str = r#"
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

const char *PASSENGER_MODULE_SIGNATURE = NGX_MODULE_SIGNATURE;
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let source = directory("NGINX_SOURCE_DIR", "src/core/nginx.h")?;
    let build = directory("NGINX_BUILD_DIR", "ngx_auto_config.h")?;
    println!("cargo::rerun-if-env-changed=BINDGEN_EXTRA_CLANG_ARGS");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", build.join("ngx_auto_config.h").display());

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let wrapper = out.join("wrapper.h");
    fs::write(&wrapper, WRAPPER)?;

    let bindings = generate(&wrapper, &include_dirs(&source, &build))?;
    println!("cargo::rustc-check-cfg=cfg(nginx_has_ssl)");
    if bindings.contains("pub ssl: *mut ngx_ssl_connection_t") {
        println!("cargo::rustc-cfg=nginx_has_ssl");
    }
    println!("cargo::rustc-check-cfg=cfg(nginx_has_early_hints)");
    if bindings.contains("pub const NGX_HTTP_UPSTREAM_EARLY_HINTS:") {
        println!("cargo::rustc-cfg=nginx_has_early_hints");
    }
    println!("cargo::rustc-check-cfg=cfg(nginx_has_regex)");
    if bindings.contains("pub fn ngx_http_regex_exec(") {
        println!("cargo::rustc-cfg=nginx_has_regex");
    }
    fs::write(out.join("header_fields.rs"), header_fields(&bindings)?)?;
    fs::write(out.join("bindings.rs"), bindings)?;
    Ok(())
}

/// Returns a directory from the environment, which must contain a file.
fn directory(variable: &str, file: &str) -> Result<PathBuf, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={variable}");
    let advice = "run `eval \"$(ngx-module/build/headers.sh)\"; export NGINX_SOURCE_DIR NGINX_BUILD_DIR`";
    let path = env::var_os(variable).ok_or_else(|| format!("{variable} is not set: {advice}"))?;
    let path = PathBuf::from(path);
    if path.join(file).is_file() {
        Ok(path)
    } else {
        Err(format!("{variable} is {}, but {file} is not there: {advice}", path.display()).into())
    }
}

fn include_dirs(source: &Path, build: &Path) -> Vec<String> {
    let below = [
        "core",
        "event",
        "event/modules",
        "event/quic",
        "os/unix",
        "http",
        "http/modules",
        "http/v2",
        "http/v3",
    ];
    let mut dirs: Vec<String> =
        below.iter().map(|dir| format!("-I{}", source.join("src").join(dir).display())).collect();
    dirs.push(format!("-I{}", build.display()));
    dirs.extend(compiler_headers());
    dirs
}

/// Returns the directory of gcc's own headers, for machines that have libclang without clang's.
fn compiler_headers() -> Option<String> {
    let output = Command::new("gcc").arg("-print-file-name=include").output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?;
    Path::new(dir.trim()).is_absolute().then(|| format!("-idirafter{}", dir.trim()))
}

fn generate(wrapper: &Path, clang_args: &[String]) -> Result<String, Box<dyn Error>> {
    let mut builder = bindgen::Builder::default()
        .header(wrapper.to_string_lossy())
        .clang_args(clang_args)
        .rust_target(bindgen::RustTarget::stable(88, 0).map_err(|_| "bindgen does not know Rust 1.88")?)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .use_core()
        .generate_cstr(true)
        .generate_comments(false)
        .layout_tests(false)
        .derive_debug(false);
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in CONSTANTS {
        builder = builder.allowlist_var(name);
    }
    Ok(builder.generate()?.to_string())
}

/// Returns the fields of `ngx_http_headers_in_t` that nginx's table of known headers refers to, as an expression of
/// name and offset. They depend on nginx's release and configuration.
fn header_fields(bindings: &str) -> Result<String, Box<dyn Error>> {
    const STRUCTURE: &str = "pub struct ngx_http_headers_in_t {";
    let body = bindings.split(STRUCTURE).nth(1).and_then(|rest| rest.split('}').next());
    let body = body.ok_or("bindgen has not seen ngx_http_headers_in_t")?;
    let is_header = |kind: &str| ["*mut ngx_table_elt_t", "ngx_array_t"].contains(&kind);
    let entries: Vec<String> = body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.trim_end_matches(',').split_once(": "))
        .filter(|(_, kind)| is_header(kind))
        .map(|(field, _)| format!("({field:?}, offset_of!(sys::ngx_http_headers_in_t, {field})),\n"))
        .collect();
    Ok(format!("&[\n{}]\n", entries.concat()))
}
