//! The existing client in native Rust, driven over pipes: `rust_client PORT`.
//!
//! A command a line, a JSON line as the answer; the end of the input ends the process.
//!
//!     value KEY SIZE                   makes and stores a value of random bytes
//!     load OP KEY INFLIGHT SECONDS     OP is read, write or exists; each of INFLIGHT tasks calls until the time is
//!                                      over, at least once

use simd_r_drive_ws_client::{AsyncDataStoreReader, AsyncDataStoreWriter, WsClient};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Values = HashMap<String, Arc<Vec<u8>>>;
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone, Copy, PartialEq)]
enum Op {
    Read,
    Write,
    Exists,
}

/// User and system time of the process. The kernel keeps it in nanoseconds for each thread.
fn cpu_us() -> Outcome<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let mut text = String::new();
        std::fs::File::open(task?.path().join("schedstat"))?.read_to_string(&mut text)?;
        total += text.split(' ').next().unwrap_or("0").parse::<f64>()? / 1e3;
    }
    Ok(total)
}

fn random(size: usize) -> Outcome<Vec<u8>> {
    let mut value = vec![0; size];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut value)?;
    Ok(value)
}

fn parsed<T: std::str::FromStr>(words: &[&str], at: usize) -> Outcome<T>
where
    T::Err: Error + Send + Sync + 'static,
{
    Ok(words.get(at).ok_or("a word is missing")?.parse()?)
}

async fn load(client: &Arc<WsClient>, values: &Values, words: &[&str]) -> Outcome<String> {
    let op = match words[1] {
        "read" => Op::Read,
        "write" => Op::Write,
        "exists" => Op::Exists,
        other => return Err(format!("no operation {other}").into()),
    };
    let (inflight, seconds) = (parsed::<usize>(words, 3)?, parsed::<f64>(words, 4)?);
    let value = values.get(words[2]).ok_or("no value of this key")?;
    let cpu = cpu_us()?;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    let tasks: Vec<_> = (0..inflight)
        .map(|i| {
            let (client, value) = (client.clone(), value.clone());
            let key = if op == Op::Write { format!("{}-{i}", words[2]) } else { words[2].to_string() };
            tokio::spawn(async move {
                let mut calls = 0u64;
                while calls == 0 || Instant::now() < end {
                    match op {
                        Op::Write => drop(client.write(key.as_bytes(), &value).await?),
                        Op::Read => {
                            if client.read(key.as_bytes()).await?.as_deref() != Some(value.as_slice()) {
                                return Err("a read gave a wrong answer".into());
                            }
                        }
                        Op::Exists => {
                            if !client.exists(key.as_bytes()).await? {
                                return Err("exists gave a wrong answer".into());
                            }
                        }
                    }
                    calls += 1;
                }
                Outcome::Ok(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for task in tasks {
        calls += task.await??;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let used = (cpu_us()? - cpu) / calls as f64;
    Ok(format!("{{\"calls\":{calls},\"ops_s\":{},\"cpu_us\":{used}}}", calls as f64 / elapsed))
}

async fn make(client: &Arc<WsClient>, values: &mut Values, words: &[&str]) -> Outcome<String> {
    let value = Arc::new(random(parsed(words, 2)?)?);
    client.write(words[1].as_bytes(), &value).await?;
    values.insert(words[1].to_string(), value);
    Ok("{}".to_string())
}

async fn answer(client: &Arc<WsClient>, values: &mut Values, line: &str) -> Outcome<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.first() {
        Some(&"value") if words.len() == 3 => make(client, values, &words).await,
        Some(&"load") if words.len() == 5 => load(client, values, &words).await,
        _ => Err(format!("no such command: {line}").into()),
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let port = std::env::args().nth(1).ok_or("usage: rust_client PORT")?.parse()?;
    let client = Arc::new(WsClient::new("127.0.0.1", port).await?);
    let mut values = Values::new();
    let mut out = std::io::stdout();
    writeln!(out, "{{\"ready\":true}}")?;
    for line in std::io::stdin().lock().lines() {
        match answer(&client, &mut values, &line?).await {
            Ok(text) => writeln!(out, "{text}")?,
            Err(error) => writeln!(out, "{{\"error\":{:?}}}", error.to_string())?,
        }
    }
    Ok(())
}
