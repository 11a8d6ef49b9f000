//! The original client, of either frame dialect, against any server: a call a line on stdin, its outcome as a JSON line.
//!
//!     {"op": "write", "k": KEY, "v": VALUE}            {"result": file size behind the entry}
//!     {"op": "batch", "items": [[KEY, VALUE], ...]}    the same
//!     {"op": "delete", "k": KEY}                       the same
//!     {"op": "read", "k": KEY}                         {"result": SHOWN or null}
//!     {"op": "batch_read", "ks": [KEY, ...]}           {"result": [SHOWN or null, ...]}
//!     {"op": "exists", "k": KEY}                       {"result": whether it is there}
//!     {"op": "len"}, {"op": "file_size"}               {"result": a number}
//!     {"op": "is_empty"}                               {"result": true or false}
//!
//! KEY and VALUE are byte strings of src/script.rs. SHOWN is {"hex": ...}, of more than 64 bytes {"len": ..., "sha256":
//! ...}. An error gives {"error": its text}; so does a call without an answer within 60 seconds, and no further call is
//! made then. tests/support/published_client.py speaks the same language.
use crate::dump::{HEX_SHOWN, hex, sha256};
use crate::script::{Failure, all_bytes, bytes, list, slices};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::time::Duration;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

fn shown(value: &[u8]) -> Value {
    if value.len() <= HEX_SHOWN {
        return json!({"hex": hex(value)});
    }
    json!({"len": value.len(), "sha256": sha256(value)})
}

// Once for each version: the types and traits of one are not those of the other.
macro_rules! calls_with {
    ($dialect:ident, $client:ident) => {
        mod $dialect {
            use super::*;
            pub use $client::WsClient;
            use $client::{AsyncDataStoreReader, AsyncDataStoreWriter};

            pub async fn call(client: &WsClient, line: &Value) -> Result<Value, Failure> {
                let key = || bytes(&line["k"]);
                Ok(match line["op"].as_str().unwrap_or_default() {
                    "write" => json!(client.write(&key()?, &bytes(&line["v"])?).await?),
                    "batch" => {
                        let items = list(&line["items"])?.iter().map(all_bytes).collect::<Result<Vec<_>, _>>()?;
                        let mut pairs: Vec<(&[u8], &[u8])> = Vec::with_capacity(items.len());
                        for item in &items {
                            let [key, value] = &item[..] else {
                                return Err(format!("an item that is no pair in {line}").into());
                            };
                            pairs.push((key, value));
                        }
                        json!(client.batch_write(&pairs).await?)
                    }
                    "delete" => json!(client.delete(&key()?).await?),
                    "read" => json!(client.read(&key()?).await?.map(|value| shown(&value))),
                    "batch_read" => {
                        let found = client.batch_read(&slices(&all_bytes(&line["ks"])?)).await?;
                        found.iter().map(|value| value.as_ref().map(|value| shown(value))).collect()
                    }
                    "exists" => json!(client.exists(&key()?).await?),
                    "len" => json!(client.len().await?),
                    "is_empty" => json!(client.is_empty().await?),
                    "file_size" => json!(client.file_size().await?),
                    _ => return Err(format!("unknown call: {line}").into()),
                })
            }
        }
    };
}

calls_with!(d13, simd_r_drive_ws_client);
calls_with!(d21, simd_r_drive_ws_client_0_16);

async fn all_calls<Client>(
    client: impl Future<Output = std::io::Result<Client>>,
    call: impl AsyncFn(&Client, &Value) -> Result<Value, Failure>,
) -> Result<(), Failure> {
    let client = timeout(LIMIT, client).await.map_err(|_| "no connection within 60 s")??;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = serde_json::from_str(&line?)?;
        let ended = timeout(LIMIT, call(&client, &line)).await;
        let outcome = match &ended {
            Ok(Ok(result)) => json!({"result": result}),
            Ok(Err(problem)) => json!({"error": problem.to_string()}),
            Err(_) => json!({"error": "no answer within 60 s"}),
        };
        writeln!(out, "{outcome}")?;
        out.flush()?;
        if ended.is_err() {
            break;
        }
    }
    Ok(())
}

pub fn run(dialect: &str, host: &str, port: &str) -> Result<(), Failure> {
    let port = port.parse().map_err(|e| format!("port {port}: {e}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match dialect {
        "d13" => runtime.block_on(all_calls(d13::WsClient::new(host, port), d13::call)),
        "d21" => runtime.block_on(all_calls(d21::WsClient::new(host, port), d21::call)),
        _ => Err(format!("{dialect} is no dialect of a client: d13 or d21").into()),
    }
}
