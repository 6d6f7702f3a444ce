//! Takes the page into the program: `web/dist`, which `make web` builds, or a page that says how to build it.
//!
//! Nothing is built here, and nothing but Rust is needed: whoever has no Node has a program all the same.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What stands beside a file, compressed: how it is called, and how the field.
const ENCODED: [(&str, &str); 2] = [("br", "brotli"), ("gz", "gzip")];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where"));
    let built = root.join("web/dist");
    // Of a folder that is not there, cargo would think every time that it has changed.
    fs::create_dir_all(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=web/unbuilt");
    let folder = if built.join("index.html").is_file() { built } else { root.join("web/unbuilt") };

    let mut files = Vec::new();
    find(&folder, &mut files);
    files.sort();
    let mut table = String::from("pub(super) static FILES: &[File] = &[\n");
    for file in &files {
        let extension = file.extension().and_then(OsStr::to_str).unwrap_or_default();
        if ENCODED.iter().any(|(encoded, _)| extension == *encoded) {
            continue;
        }
        let name = file.strip_prefix(&folder).expect("it is in there").to_str().expect("UTF-8");
        let path = if name == "index.html" { String::new() } else { name.replace('\\', "/") };
        let content_type = content_type(extension).unwrap_or_else(|| panic!("{name}: what is {extension}?"));
        // Vite puts what it names by content into this folder.
        let is_named_by_content = path.starts_with("assets/");
        write!(
            table,
            "    File {{ path: {:?}, content_type: {content_type:?}, is_named_by_content: {is_named_by_content}, plain: include_bytes!({file:?}), ",
            format!("/{path}")
        )
        .expect("a text");
        for (encoded, field) in ENCODED {
            let beside = file.with_extension(format!("{extension}.{encoded}"));
            let content = if files.contains(&beside) {
                format!("Some(include_bytes!({beside:?}))")
            } else {
                "None".to_owned()
            };
            write!(table, "{field}: {content}, ").expect("a text");
        }
        table.push_str("},\n");
    }
    table.push_str("];\n");
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo says where")).join("page.rs");
    fs::write(&out, table).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn content_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}
