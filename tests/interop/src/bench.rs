//! Timed calls. One command a line on stdin; for each one JSON line: `{"ns": [...], "cpu": [...]}`, samples of nanoseconds
//! per call, item, entry or key, by the clock and as CPU time of the whole process (left out where reading it would take
//! longer than what is measured), or `{"error": "..."}`. benchmarks/cpp/store_bench.cpp speaks the same language:
//!
//!     create PATH                      a new store in place of what was there
//!     open PATH COUNT                  opens it COUNT times; the last one stays open
//!     close
//!     write SIZE COUNT                 COUNT single writes of new keys
//!     batch SIZE ITEMS COUNT           COUNT batches of ITEMS new keys; time per item
//!     fill FIRST ENTRIES SIZE          keys FIRST .. FIRST + ENTRIES in batches of 1000; time per entry
//!     read ENTRIES WINDOWS CALLS       random keys of 0 .. ENTRIES; each sample is the mean of CALLS reads
//!     exists ENTRIES WINDOWS CALLS     the same
//!     absent ENTRIES WINDOWS CALLS     keys that are not there
//!     scan COUNT                       COUNT iterations over everything; time per entry
//!     compact                          time per live entry
//!     memory                           {"anon": bytes of anonymous memory that are resident}
//!
//! Reads and scans touch the first byte of each payload. Each command does some of its calls before it begins to time.
use crate::script::{Failure, SplitMix};
use serde_json::{Value, json};
use simd_r_drive::DataStore;
use simd_r_drive::traits::{DataStoreReader, DataStoreWriter};
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

const KEY_LEN: usize = 14;
const SLACK: usize = 1 << 20; // payloads begin anywhere in so many bytes
const FILL_BATCH: usize = 1000;
const LONG: usize = 1 << 20; // single writes of so many bytes are long enough for the CPU clock
const SEED: u64 = 20_240_501;

fn put_key(out: &mut Vec<u8>, prefix: &str, index: u64) {
    write!(out, "{prefix}{index:010}").expect("memory can be written to");
}

/// CPU time of this process in nanoseconds.
fn cpu_now() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every system that has /proc, and `now` is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

struct Watch {
    cpu: Option<f64>,
    wall: Instant,
}

impl Watch {
    fn start(with_cpu: bool) -> Watch {
        let cpu = with_cpu.then(cpu_now);
        Watch { cpu, wall: Instant::now() }
    }

    fn stop(self, calls: usize) -> Sample {
        let wall = self.wall.elapsed().as_nanos() as f64;
        let cpu = self.cpu.map(|began| (cpu_now() - began) / calls as f64);
        Sample { ns: wall / calls as f64, cpu }
    }
}

struct Sample {
    ns: f64,
    cpu: Option<f64>,
}

#[derive(Clone, Copy)]
enum Lookup {
    Read,
    Exists,
    Absent,
}

#[derive(Default)]
struct Bench {
    store: Option<DataStore>,
    path: PathBuf,
    pool: Vec<u8>,
    next: u64,
    sink: u64,
}

impl Bench {
    fn store(&self) -> Result<&DataStore, Failure> {
        self.store.as_ref().ok_or_else(|| "no store is open".into())
    }

    /// Makes sure that there are random bytes for payloads of this size.
    fn prepare(&mut self, size: usize) {
        if self.pool.len() < size + SLACK {
            self.pool = SplitMix(SEED).bytes(size + SLACK);
        }
    }

    fn payload(&self, index: u64, size: usize) -> &[u8] {
        let at = (index.wrapping_mul(0x9E37_79B1) % SLACK as u64) as usize;
        &self.pool[at..at + size]
    }

    fn key(index: u64) -> Vec<u8> {
        let mut key = Vec::with_capacity(KEY_LEN);
        put_key(&mut key, "key:", index);
        key
    }

    fn check(&self, index: u64, size: usize) -> Result<(), Failure> {
        let found = self.store()?.read(&Self::key(index))?;
        if found.is_some_and(|handle| handle.as_slice() == self.payload(index, size)) {
            return Ok(());
        }
        Err(format!("key {index} reads back as something else").into())
    }

    fn write(&mut self, size: usize, count: usize) -> Result<Vec<Sample>, Failure> {
        self.prepare(size);
        let warm = (count / 10).max(1);
        let mut samples = Vec::with_capacity(count);
        for i in 0..warm + count {
            let index = self.next;
            self.next += 1;
            let key = Self::key(index);
            let payload = self.payload(index, size);
            let store = self.store()?;
            let watch = Watch::start(size >= LONG);
            store.write(&key, payload)?;
            if i >= warm {
                samples.push(watch.stop(1));
            }
        }
        self.check(self.next - 1, size)?;
        Ok(samples)
    }

    fn write_batch(&self, first: u64, size: usize, items: usize) -> Result<Sample, Failure> {
        let keys: Vec<Vec<u8>> = (0..items as u64).map(|i| Self::key(first + i)).collect();
        let pairs: Vec<(&[u8], &[u8])> =
            keys.iter().zip(first..).map(|(key, index)| (&key[..], self.payload(index, size))).collect();
        let store = self.store()?;
        let watch = Watch::start(true);
        store.batch_write(&pairs)?;
        Ok(watch.stop(items))
    }

    fn batch(&mut self, size: usize, items: usize, count: usize) -> Result<Vec<Sample>, Failure> {
        self.prepare(size);
        let mut samples = Vec::with_capacity(count + 1);
        for _ in 0..count + 1 {
            samples.push(self.write_batch(self.next, size, items)?);
            self.next += items as u64;
        }
        self.check(self.next - 1, size)?;
        samples.remove(0);
        Ok(samples)
    }

    fn fill(&mut self, first: u64, entries: usize, size: usize) -> Result<Vec<Sample>, Failure> {
        self.prepare(size);
        let (mut done, mut total) = (0, 0.0);
        while done < entries {
            let items = FILL_BATCH.min(entries - done);
            total += self.write_batch(first + done as u64, size, items)?.ns * items as f64;
            done += items;
        }
        self.next = self.next.max(first + entries as u64);
        Ok(vec![Sample { ns: total / entries.max(1) as f64, cpu: None }])
    }

    fn look_up(&mut self, what: Lookup, entries: u64, windows: usize, calls: usize) -> Result<Vec<Sample>, Failure> {
        let mut random = SplitMix(SEED + entries);
        let mut samples = Vec::with_capacity(windows);
        let warm = (windows / 10).max(1);
        let prefix = if matches!(what, Lookup::Absent) { "gone" } else { "key:" };
        let mut keys = Vec::with_capacity(calls * KEY_LEN);
        for window in 0..warm + windows {
            // The keys of a window are laid out one behind the other, so that finding them costs nothing.
            keys.clear();
            for _ in 0..calls {
                put_key(&mut keys, prefix, random.next() % entries);
            }
            let store = self.store()?;
            let mut sink = 0;
            let mut found = 0;
            let watch = Watch::start(false);
            for key in keys.chunks_exact(KEY_LEN) {
                match what {
                    Lookup::Read => {
                        if let Some(handle) = store.read(key)? {
                            found += 1;
                            sink += u64::from(handle.as_slice()[0]);
                        }
                    }
                    Lookup::Exists | Lookup::Absent => found += usize::from(store.exists(key)?),
                }
            }
            let took = watch.stop(calls);
            if found != if matches!(what, Lookup::Absent) { 0 } else { calls } {
                return Err(format!("{found} of {calls} keys were found").into());
            }
            self.sink = self.sink.wrapping_add(black_box(sink));
            if window >= warm {
                samples.push(took);
            }
        }
        Ok(samples)
    }

    fn scan(&mut self, count: usize) -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::with_capacity(count);
        for i in 0..count + 1 {
            let (mut entries, mut sink) = (0, 0);
            let watch = Watch::start(true);
            for handle in self.store()?.iter_entries() {
                entries += 1;
                sink += u64::from(handle.as_slice()[0]);
            }
            if i > 0 {
                samples.push(watch.stop(entries.max(1)));
            }
            self.sink = self.sink.wrapping_add(black_box(sink));
        }
        Ok(samples)
    }

    fn open(&mut self, count: usize) -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::with_capacity(count);
        for _ in 0..count {
            self.store = None;
            let watch = Watch::start(true);
            let store = DataStore::open_existing(&self.path)?;
            samples.push(watch.stop(1));
            self.next = store.len()? as u64;
            self.store = Some(store);
        }
        Ok(samples)
    }

    fn compact(&mut self) -> Result<Vec<Sample>, Failure> {
        let store = self.store.as_mut().ok_or("no store is open")?;
        let entries = store.len()?.max(1);
        let watch = Watch::start(true);
        store.compact()?;
        let took = watch.stop(entries);
        self.open(1)?; // the handle still has the old file
        Ok(vec![took])
    }

    fn answer(&mut self, words: &[&str]) -> Result<Value, Failure> {
        let number = |i: usize| -> Result<usize, Failure> { Ok(words.get(i).ok_or("too few words")?.parse()?) };
        let samples = match words.first().copied().unwrap_or_default() {
            "create" => {
                self.store = None;
                self.path = PathBuf::from(words.get(1).ok_or("no path")?);
                if self.path.exists() {
                    std::fs::remove_file(&self.path)?;
                }
                self.next = 0;
                let watch = Watch::start(true);
                self.store = Some(DataStore::open(&self.path)?);
                vec![watch.stop(1)]
            }
            "open" => {
                self.path = PathBuf::from(words.get(1).ok_or("no path")?);
                self.open(number(2)?)?
            }
            "close" => {
                self.store = None;
                vec![]
            }
            "write" => self.write(number(1)?, number(2)?)?,
            "batch" => self.batch(number(1)?, number(2)?, number(3)?)?,
            "fill" => self.fill(number(1)? as u64, number(2)?, number(3)?)?,
            "read" => self.look_up(Lookup::Read, number(1)? as u64, number(2)?, number(3)?)?,
            "exists" => self.look_up(Lookup::Exists, number(1)? as u64, number(2)?, number(3)?)?,
            "absent" => self.look_up(Lookup::Absent, number(1)? as u64, number(2)?, number(3)?)?,
            "scan" => self.scan(number(1)?)?,
            "compact" => self.compact()?,
            "memory" => return Ok(json!({"anon": anonymous()?})),
            other => return Err(format!("unknown command {other}").into()),
        };
        let cpu: Vec<f64> = samples.iter().filter_map(|sample| sample.cpu).collect();
        let mut answer = json!({"ns": samples.iter().map(|sample| sample.ns).collect::<Vec<f64>>()});
        if !cpu.is_empty() {
            answer["cpu"] = json!(cpu);
        }
        Ok(answer)
    }
}

/// Bytes of anonymous memory of this process that are resident.
fn anonymous() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

pub fn run() -> Result<(), Failure> {
    let mut bench = Bench::default();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = bench.answer(&words).unwrap_or_else(|problem| json!({"error": problem.to_string()}));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
