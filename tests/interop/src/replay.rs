//! Makes the calls of a script and prints what each of them gave.
use crate::dump::{entry, tail};
use crate::script::{Failure, Script, all_bytes, bytes, hash, list, slices};
use serde_json::{Value, json};
use simd_r_drive::traits::{DataStoreReader, DataStoreWriter};
use simd_r_drive::{DataStore, EntryHandle};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A source of at most `chunk` bytes a read, which fails once `good` bytes are out.
struct Source {
    data: Vec<u8>,
    at: usize,
    chunk: usize,
    good: usize,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.data.len().min(self.good);
        let count = buffer.len().min(self.chunk).min(end - self.at);
        if count == 0 && self.good < self.data.len() {
            return Err(io::Error::other("the source fails here"));
        }
        buffer[..count].copy_from_slice(&self.data[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn source(line: &Value) -> Result<Source, Failure> {
    let limit = |field: &str| line[field].as_u64().map_or(usize::MAX, |n| n as usize);
    Ok(Source { data: bytes(&line["v"])?, at: 0, chunk: limit("chunk").max(1), good: limit("fail_after") })
}

fn all_hashes(values: &Value) -> Result<Vec<u64>, Failure> {
    list(values)?.iter().map(hash).collect()
}

struct Run {
    dir: PathBuf,
    names: HashMap<u64, Value>,
    stores: HashMap<String, DataStore>,
}

impl Run {
    fn path(&self, line: &Value, field: &str) -> Result<PathBuf, Failure> {
        Ok(self.dir.join(line[field].as_str().ok_or_else(|| format!("no {field} in {line}"))?))
    }

    fn store(&self, name: &str) -> Result<&DataStore, Failure> {
        self.stores.get(name).ok_or_else(|| format!("no open store named {name}").into())
    }

    fn entries(&self, handles: Vec<Option<EntryHandle>>) -> Value {
        handles.iter().map(|handle| handle.as_ref().map(|handle| entry(handle, &self.names))).collect()
    }

    /// What is not a call of the engine; None for all else.
    fn file_action(&self, op: &str, line: &Value) -> Result<Option<Value>, Failure> {
        let path = || self.path(line, "path");
        Ok(Some(match op {
            "fs_copy" => json!(std::fs::copy(path()?, self.path(line, "to")?)?),
            "fs_exists" => json!(path()?.exists()),
            "fs_stat" => json!(path()?.metadata()?.len()),
            "fs_append" => {
                OpenOptions::new().append(true).open(path()?)?.write_all(&bytes(&line["v"])?)?;
                Value::Null
            }
            "fs_truncate" => {
                let file: File = OpenOptions::new().write(true).open(path()?)?;
                file.set_len(line["len"].as_u64().ok_or("fs_truncate without len")?)?;
                Value::Null
            }
            _ => return Ok(None),
        }))
    }

    fn call(&mut self, op: &str, line: &Value) -> Result<Value, Failure> {
        if let Some(result) = self.file_action(op, line)? {
            return Ok(result);
        }
        let name = line["s"].as_str().unwrap_or("main");
        match op {
            "open" | "open_existing" => {
                let path = self.path(line, "path")?;
                let store = if op == "open" { DataStore::open(&path) } else { DataStore::open_existing(&path) }?;
                let at = tail(&store)?;
                self.stores.insert(name.to_string(), store);
                return Ok(json!(at));
            }
            "close" => {
                self.stores.remove(name);
                return Ok(Value::Null);
            }
            "compact" => {
                let store = self.stores.get_mut(name).ok_or_else(|| format!("no open store named {name}"))?;
                store.compact()?;
                return Ok(Value::Null);
            }
            _ => {}
        }
        let store = self.store(name)?;
        let key = || bytes(&line["k"]);
        let one = |handle: Option<EntryHandle>| json!(handle.map(|handle| entry(&handle, &self.names)));
        Ok(match op {
            "write" => json!(store.write(&key()?, &bytes(&line["v"])?)?),
            "write_h" => json!(store.write_with_key_hash(hash(&line["h"])?, &bytes(&line["v"])?)?),
            "stream" => json!(store.write_stream(&key()?, &mut source(line)?)?),
            "stream_h" => json!(store.write_stream_with_key_hash(hash(&line["h"])?, &mut source(line)?)?),
            "batch" => {
                let mut items = Vec::new();
                for item in list(&line["items"])? {
                    items.push((bytes(&item[0])?, bytes(&item[1])?));
                }
                let items: Vec<(&[u8], &[u8])> = items.iter().map(|(k, v)| (&k[..], &v[..])).collect();
                json!(store.batch_write(&items)?)
            }
            "batch_h" => {
                let mut items = Vec::new();
                for item in list(&line["items"])? {
                    items.push((hash(&item[0])?, bytes(&item[1])?));
                }
                let items: Vec<(u64, &[u8])> = items.iter().map(|(h, v)| (*h, &v[..])).collect();
                json!(store.batch_write_with_key_hashes(items, line["allow_null"].as_bool().unwrap_or(false))?)
            }
            "delete" => json!(store.delete(&key()?)?),
            "batch_delete" => json!(store.batch_delete(&slices(&all_bytes(&line["ks"])?))?),
            "batch_delete_h" => json!(store.batch_delete_key_hashes(&all_hashes(&line["hs"])?)?),
            "rename" => json!(store.rename(&key()?, &bytes(&line["k2"])?)?),
            "copy" | "transfer" => {
                let target = self.store(line["to"].as_str().unwrap_or_default())?;
                let key = key()?;
                json!(if op == "copy" { store.copy(&key, target) } else { store.transfer(&key, target) }?)
            }
            "read" => one(store.read(&key()?)?),
            "read_h" => one(store.read_with_key_hash(hash(&line["h"])?)?),
            "last" => one(store.read_last_entry()?),
            "batch_read" => self.entries(store.batch_read(&slices(&all_bytes(&line["ks"])?))?),
            "batch_read_h" => {
                let keys = if line["ks"].is_null() { None } else { Some(all_bytes(&line["ks"])?) };
                let keys = keys.as_deref().map(slices);
                self.entries(store.batch_read_hashed_keys(&all_hashes(&line["hs"])?, keys.as_deref())?)
            }
            "exists" => json!(store.exists(&key()?)?),
            "exists_h" => json!(store.exists_with_key_hash(hash(&line["h"])?)?),
            "meta" => json!(store.read_metadata(&key()?)?.map(|meta| json!({
                "h": format!("{:016x}", meta.key_hash),
                "prev": meta.prev_offset,
                "crc": format!("{:08x}", u32::from_le_bytes(meta.checksum)),
            }))),
            "len" => json!(store.len()?),
            "is_empty" => json!(store.is_empty()?),
            "file_size" => json!(store.file_size()?),
            "savings" => json!(store.estimate_compaction_savings()),
            "tail" => json!(tail(store)?),
            "iter" => store.iter_entries().map(|handle| format!("{:016x}", handle.key_hash())).collect(),
            _ => return Err(format!("unknown operation {op}").into()),
        })
    }
}

pub fn run(script: &Path, dir: &Path) -> Result<(), Failure> {
    let script = Script::read(script)?;
    let mut run = Run { dir: dir.to_path_buf(), names: script.names, stores: HashMap::new() };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (i, line) in script.lines.iter().enumerate() {
        let op = line["op"].as_str().ok_or_else(|| format!("line {i}: no op"))?;
        let result = match run.call(op, line) {
            Ok(value) => json!({"i": i, "op": op, "ok": value}),
            // Only what the engine refused is a result. All else, such as a script that cannot be read, ends the run.
            Err(problem) => match problem.downcast::<io::Error>() {
                Ok(refused) => json!({
                    "i": i,
                    "op": op,
                    "err": format!("{:?}", refused.kind()),
                    "msg": refused.to_string().replace(&dir.display().to_string(), "<dir>"),
                }),
                Err(problem) => return Err(format!("line {i}, {op}: {problem}").into()),
            },
        };
        writeln!(out, "{result}")?;
    }
    drop(run);
    out.flush()?;
    Ok(())
}
