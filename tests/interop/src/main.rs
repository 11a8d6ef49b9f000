//! The original engine and client, to be driven by tests and benchmarks of others.
mod bench;
mod calls;
mod dump;
mod replay;
mod script;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: simdrive-interop dump FILE [SCRIPT]    what the engine sees in FILE; it may cut the file
       simdrive-interop replay SCRIPT DIR    makes the calls of SCRIPT in the empty folder DIR; results to stdout
       simdrive-interop calls DIALECT HOST PORT
                                             makes the calls on stdin, see src/calls.rs, with the original client of
                                             that dialect: d13 or d21
       simdrive-interop bench                commands on stdin, see src/bench.rs; one JSON line for each";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["dump", file] => dump::run(Path::new(file), None),
        ["dump", file, script] => dump::run(Path::new(file), Some(Path::new(script))),
        ["replay", script, dir] => replay::run(Path::new(script), Path::new(dir)),
        ["calls", dialect, host, port] => calls::run(dialect, host, port),
        ["bench"] => bench::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("simdrive-interop: {problem}");
            ExitCode::FAILURE
        }
    }
}
