//! Scripts: one JSON object per line. Byte strings are text, hex, a repeated byte, a generated sequence or a file.
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

pub type Failure = Box<dyn std::error::Error>;

/// The splitmix64 sequence that starts from `state`.
pub struct SplitMix(pub u64);

impl SplitMix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
    }
}

fn hex(text: &str) -> Result<Vec<u8>, Failure> {
    if text.len() % 2 != 0 || !text.is_ascii() {
        return Err(format!("not hex: {text}").into());
    }
    (0..text.len()).step_by(2).map(|i| Ok(u8::from_str_radix(&text[i..i + 2], 16)?)).collect()
}

pub fn bytes(value: &Value) -> Result<Vec<u8>, Failure> {
    let wrong = || format!("not a byte string: {value}");
    if let Some(text) = value.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    if let Some(digits) = value["hex"].as_str() {
        return hex(digits);
    }
    if let Some(path) = value["file"].as_str() {
        return std::fs::read(path).map_err(|e| format!("{path}: {e}").into());
    }
    let len = value["len"].as_u64().ok_or_else(wrong)? as usize;
    if let Some(digits) = value["rep"].as_str() {
        return Ok(vec![*hex(digits)?.first().ok_or_else(wrong)?; len]);
    }
    Ok(SplitMix(value["gen"].as_u64().ok_or_else(wrong)?).bytes(len))
}

pub fn all_bytes(values: &Value) -> Result<Vec<Vec<u8>>, Failure> {
    list(values)?.iter().map(bytes).collect()
}

pub fn slices(owned: &[Vec<u8>]) -> Vec<&[u8]> {
    owned.iter().map(Vec::as_slice).collect()
}

pub fn hash(value: &Value) -> Result<u64, Failure> {
    let digits = value.as_str().ok_or_else(|| format!("not a hash: {value}"))?;
    Ok(u64::from_str_radix(digits, 16)?)
}

pub fn list(value: &Value) -> Result<&Vec<Value>, Failure> {
    value.as_array().ok_or_else(|| format!("not a list: {value}").into())
}

/// The lines of a script, and the keys that it names: by hash, in the form and order in which they first occur.
pub struct Script {
    pub lines: Vec<Value>,
    pub names: HashMap<u64, Value>,
    pub order: Vec<u64>,
}

impl Script {
    pub fn read(path: &Path) -> Result<Script, Failure> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut script = Script { lines: Vec::new(), names: HashMap::new(), order: Vec::new() };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line: Value = serde_json::from_str(line)?;
            for field in ["k", "k2"] {
                script.name(&line[field])?;
            }
            for key in line["ks"].as_array().into_iter().flatten() {
                script.name(key)?;
            }
            if line["op"] == "batch" {
                for item in list(&line["items"])? {
                    script.name(&item[0])?;
                }
            }
            script.lines.push(line);
        }
        Ok(script)
    }

    fn name(&mut self, key: &Value) -> Result<(), Failure> {
        if !key.is_null() {
            let hash = simd_r_drive::compute_hash(&bytes(key)?);
            if self.names.insert(hash, key.clone()).is_none() {
                self.order.push(hash);
            }
        }
        Ok(())
    }
}
