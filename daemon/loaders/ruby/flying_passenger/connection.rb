# frozen_string_literal: true

require 'io/nonblock'

module FlyingPassenger
  # Bytes from and to the daemon on one connection; the frames of the session protocol.
  class Connection
    # The daemon has closed the connection: the client went away, or the process is to end.
    class Lost < StandardError; end

    HEAD = 1
    BODY = 2
    INTERIM = 3
    HIJACKED = 4
    ERROR = 5
    READY = 6

    FLAG_END = 1
    FLAG_RAW = 2

    REQUEST_HEADER = 16
    FRAME = 'VCCx2'
    READ_SIZE = 64 * 1024
    EMPTY = ''.b.freeze

    attr_reader :socket

    def initialize(socket)
      @socket = socket
      # A blocking read is one system call; a non-blocking one fails first, then waits, then reads.
      @socket.nonblock = false
      @buffer = String.new(capacity: READ_SIZE, encoding: Encoding::BINARY)
      @more = String.new(capacity: READ_SIZE, encoding: Encoding::BINARY)
      write([0, READY, 0].pack(FRAME))
    end

    # Environment block, kind of body and its length; nil when the connection has ended between two requests.
    def read_request
      return nil if @buffer.empty? && !fill

      ensure_buffered(REQUEST_HEADER)
      env_length, kind, length = @buffer.unpack('VCx3Q<')
      ensure_buffered(REQUEST_HEADER + env_length)
      block = @buffer.byteslice(REQUEST_HEADER, env_length)
      consume(REQUEST_HEADER + env_length)
      [block, kind, length]
    end

    # Whether nothing has been received that is not handled yet.
    def empty? = @buffer.empty?

    # What was received by other means, while nothing else was.
    def put_back(data)
      @buffer = data
    end

    # At least one and at most `length` bytes.
    def read_some(length)
      raise Lost, 'end of file inside a request' if @buffer.empty? && !fill

      return take_all if @buffer.bytesize <= length

      data = @buffer.byteslice(0, length)
      consume(length)
      data
    end

    # Exactly `length` bytes.
    def read_exactly(length)
      ensure_buffered(length)
      data = @buffer.byteslice(0, length)
      consume(length)
      data
    end

    def write(*parts)
      @socket.write(*parts)
    rescue SystemCallError, IOError => e
      raise Lost, e.message
    end

    def frame(type, flags, length)
      [length, type, flags].pack(FRAME)
    end

    # The socket, which belongs to the app from here on.
    def hijack
      write(frame(HIJACKED, 0, 0))
      @socket
    end

    def close
      @socket.close
    rescue SystemCallError, IOError
      # It is closed already.
      nil
    end

    private

    def fill
      if @buffer.empty?
        @socket.readpartial(READ_SIZE, @buffer)
      else
        @buffer << @socket.readpartial(READ_SIZE, @more)
      end
    rescue EOFError, SystemCallError
      nil
    end

    def ensure_buffered(length)
      raise Lost, 'end of file inside a request' while @buffer.bytesize < length && !fill
    end

    def consume(length)
      if length == @buffer.bytesize
        @buffer.clear
      else
        @buffer = @buffer.byteslice(length, @buffer.bytesize - length)
      end
    end

    def take_all
      data = @buffer
      @buffer = String.new(capacity: READ_SIZE, encoding: Encoding::BINARY)
      data
    end
  end
end
