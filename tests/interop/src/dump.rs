//! What the engine sees in a file, as JSON.
use crate::script::{Failure, Script};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simd_r_drive::traits::{DataStoreReader, DataStoreWriter};
use simd_r_drive::{DataStore, EntryHandle};
use std::collections::HashMap;
use std::path::Path;

pub const HEX_SHOWN: usize = 64;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn entry(handle: &EntryHandle, names: &HashMap<u64, Value>) -> Value {
    let payload = handle.as_slice();
    let mut fields = json!({
        "h": format!("{:016x}", handle.key_hash()),
        "k": names.get(&handle.key_hash()),
        "start": handle.start_offset(),
        "end": handle.end_offset(),
        "prev": handle.metadata().prev_offset,
        "crc": format!("{:08x}", handle.checksum()),
        "crc_ok": handle.is_valid_checksum(),
        "len": payload.len(),
        "sha256": sha256(payload),
    });
    if payload.len() <= HEX_SHOWN {
        fields["hex"] = json!(hex(payload));
    }
    fields
}

/// The tail: what deleting nothing returns.
pub fn tail(store: &DataStore) -> std::io::Result<u64> {
    store.batch_delete_key_hashes(&[])
}

pub fn run(path: &Path, script: Option<&Path>) -> Result<(), Failure> {
    let script = script.map(Script::read).transpose()?;
    let none = HashMap::new();
    let names = script.as_ref().map_or(&none, |script| &script.names);
    let before = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let store = DataStore::open_existing(path)?;
    let entries: Vec<Value> = store.iter_entries().map(|handle| entry(&handle, names)).collect();
    let mut absent = Vec::new();
    for hash in script.iter().flat_map(|script| &script.order) {
        if !store.exists_with_key_hash(*hash)? {
            absent.push(&names[hash]);
        }
    }
    let dump = json!({
        "file": path.file_name().map(|name| name.to_string_lossy()),
        "bytes": before.len(),
        "sha256": sha256(&before),
        "opened": {
            "tail": tail(&store)?,
            "file_size": store.file_size()?,
            "len": store.len()?,
            "live": entries.len(),
            "is_empty": store.is_empty()?,
            "savings": store.estimate_compaction_savings(),
            "last": store.read_last_entry()?.map(|handle| entry(&handle, names)),
            "absent": absent,
            "entries": entries,
        },
    });
    println!("{dump}");
    Ok(())
}
