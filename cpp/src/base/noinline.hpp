// Keeps what is rare, or needs many registers, out of the functions that call it.
#pragma once

#if defined(_MSC_VER) && !defined(__clang__)
#define SIMDRIVE_NOINLINE __declspec(noinline)
#else
#define SIMDRIVE_NOINLINE __attribute__((noinline))
#endif
