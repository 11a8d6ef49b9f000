# Warnings and hardening for the targets that we write ourselves (not for generated or third-party code).
include_guard(GLOBAL)
option(SIMDRIVE_WERROR "Treat compiler warnings as errors" OFF)

set(_simdrive_optimised "$<CONFIG:Release,RelWithDebInfo,MinSizeRel>")

# Stack protector, checked libc calls. FORTIFY needs optimisation, and the sanitizers replace what it does.
function(simdrive_harden target)
  if(WIN32)  # MSVC has its own on by default; MinGW needs a library for each
    return()
  endif()
  target_compile_options(${target} PRIVATE "$<${_simdrive_optimised}:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>"
    "$<${_simdrive_optimised}:-fstack-protector-strong>")
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    get_target_property(_type ${target} TYPE)
    if(NOT _type STREQUAL "STATIC_LIBRARY" AND NOT _type STREQUAL "OBJECT_LIBRARY")
      target_link_options(${target} PRIVATE "LINKER:-z,relro,-z,now")
    endif()
  endif()
endfunction()

function(simdrive_warnings target)
  if(MSVC)
    target_compile_options(${target} PRIVATE /W4 "$<$<BOOL:${SIMDRIVE_WERROR}>:/WX>")
  else()
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow "$<$<BOOL:${SIMDRIVE_WERROR}>:-Werror>")
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      # False alarms inside std::string and std::vector once they are inlined (GCC bug 105329 and its kin).
      target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow
        -Wno-stringop-overread)
    endif()
  endif()
  simdrive_harden(${target})
endfunction()
