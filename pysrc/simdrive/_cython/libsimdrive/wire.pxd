from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.optional cimport optional
from libcpp.string cimport string
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.error cimport Error


cdef extern from "simdrive/wire.hpp" namespace "simdrive" nogil:
    ctypedef vector[uint8_t] WireBytes "simdrive::Bytes"

    cdef cppclass WireView "simdrive::BytesView":
        WireView()
        WireView(const uint8_t*, size_t)

    cdef cppclass WireProbe "std::array<std::uint8_t, 66>":
        const uint8_t* data()
        size_t size()

    cdef cppclass WireName "std::string_view":
        WireName(const char*, size_t)


cdef extern from "simdrive/wire.hpp" namespace "simdrive::wire" nogil:
    cdef enum class CDialect "simdrive::wire::Dialect"(unsigned char):
        d13
        d21

    cdef enum class CMessageType "simdrive::wire::MessageType"(unsigned char):
        write_request
        batch_write_request
        read_request
        batch_read_request
        delete_request
        exists_request
        len_request
        is_empty_request
        file_size_request
        write_response
        batch_write_response
        read_response
        batch_read_response
        delete_response
        exists_response
        len_response
        is_empty_response
        file_size_response
        error_payload

    cdef cppclass CFields "simdrive::wire::Fields":
        CFields() except +
        vector[WireBytes] keys
        vector[optional[WireBytes]] payloads
        uint64_t number
        cbool flag
        uint8_t code
        string text

    cdef enum class CEventKind "simdrive::wire::Event::Kind"(unsigned char):
        header
        payload
        end
        corrupt_frame
        read_after_cancel
        message_failed

    cdef cppclass CEvent "simdrive::wire::Event":
        CEventKind kind
        uint8_t type
        uint32_t request_id
        uint64_t method_id
        WireBytes bytes

    cdef cppclass CRequest "simdrive::wire::Request":
        uint32_t request_id
        uint64_t method_id
        WireBytes args
        cbool from_payload

    cdef cppclass CFrameDecoder "simdrive::wire::FrameDecoder":
        CFrameDecoder(CDialect, cbool) except +
        vector[CRequest] take_requests() except +
        vector[uint32_t] open_requests() except +

    optional[CMessageType] parse_message_type(WireName)
    optional[uint64_t] method_id(WireName)
    vector[WireBytes] encode_request_frames(
        CDialect, uint32_t, uint32_t, uint64_t, WireView, uint64_t) except +
    vector[WireBytes] encode_response_frames(
        CDialect, uint32_t, uint32_t, uint64_t, uint8_t, WireView, uint64_t) except +
    const WireProbe& probe()
    optional[CDialect] judge_probe(WireView)


# Cython cannot hold a Result, which has no default value.
cdef extern from *:
    """
    #include <utility>
    #include "simdrive/wire.hpp"

    template <class T>
    static bool simdrive_wire_unwrap(simdrive::Result<T> result, T& out, simdrive::Error& error) {
      if (!result.ok()) {
        error = std::move(result).error();
        return false;
      }
      out = std::move(result).value();
      return true;
    }
    static bool simdrive_wire_encode(simdrive::wire::MessageType type, const simdrive::wire::Fields& fields,
                                     simdrive::Bytes& out, simdrive::Error& error) {
      return simdrive_wire_unwrap(simdrive::wire::encode(type, fields), out, error);
    }
    static bool simdrive_wire_decode(simdrive::wire::MessageType type, simdrive::BytesView bytes,
                                     simdrive::wire::Fields& out, simdrive::Error& error) {
      return simdrive_wire_unwrap(simdrive::wire::decode(type, bytes), out, error);
    }
    static bool simdrive_wire_feed(simdrive::wire::FrameDecoder& decoder, simdrive::BytesView message,
                                   std::vector<simdrive::wire::Event>& out, simdrive::Error& error) {
      return simdrive_wire_unwrap(decoder.feed(message), out, error);
    }
    """
    cbool encode "simdrive_wire_encode"(CMessageType, const CFields&, WireBytes&, Error&) except +
    cbool decode "simdrive_wire_decode"(CMessageType, WireView, CFields&, Error&) except +
    cbool feed "simdrive_wire_feed"(CFrameDecoder&, WireView, vector[CEvent]&, Error&) except +
