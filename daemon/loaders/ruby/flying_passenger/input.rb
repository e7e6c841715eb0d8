# frozen_string_literal: true

require 'tempfile'
require 'stringio'

module FlyingPassenger
  # rack.input of a request without a body.
  class NoInput
    def read(length = nil, buffer = nil)
      buffer&.clear
      length.nil? || length.zero? ? (buffer || +'') : nil
    end

    def gets(*) = nil
    def each = self
    def rewind = 0
    def size = 0
    def close = nil
  end

  # rack.input: the body as it comes, kept so that it can be read again: in memory first, then in a file.
  class Input
    # More than this goes to a temporary file.
    IN_MEMORY = 112 * 1024
    PIECE = 64 * 1024

    # `source` has `read_some(length)`, which returns nil at the end.
    def initialize(source)
      @source = source
      @kept = StringIO.new(String.new(encoding: Encoding::BINARY))
      @complete = false
    end

    def read(length = nil, buffer = nil)
      data = length.nil? ? read_all : read_length(length)
      return data if buffer.nil?

      buffer.replace(data || '')
      data && buffer
    end

    def gets(*arguments)
      receive_everything
      @kept.gets(*arguments)
    end

    def each(&block)
      receive_everything
      @kept.each(&block)
      self
    end

    def rewind
      @kept.rewind
    end

    def size
      receive_everything
      @kept.size
    end

    def close
      # Rack closes what it does not need; a rewind afterwards is still allowed.
    end

    # What the app did not read must not be taken for the next request.
    def drain
      nil while @source.read_some(PIECE)
      @kept.close! if @kept.is_a?(Tempfile)
    end

    private

    def read_all
      receive_everything
      @kept.read
    end

    def read_length(length)
      return +'' if length.zero?

      receive_up_to(@kept.pos + length)
      @kept.read(length)
    end

    def receive_everything
      receive_up_to(nil)
    end

    # Receives until `position` can be read, or the body is complete.
    def receive_up_to(position)
      return if @complete

      at = @kept.pos
      @kept.seek(0, IO::SEEK_END)
      receive_piece until @complete || (position && @kept.pos >= position)
      @kept.seek(at)
    end

    def receive_piece
      data = @source.read_some(PIECE)
      return @complete = true if data.nil?

      move_to_file if @kept.is_a?(StringIO) && @kept.pos + data.bytesize > IN_MEMORY
      @kept.write(data)
    end

    def move_to_file
      file = Tempfile.new('passenger-input')
      file.binmode
      file.unlink
      file.write(@kept.string)
      @kept = file
    end
  end

  # A body of known length on a connection.
  class SizedBody
    def initialize(connection, length)
      @connection = connection
      @left = length
    end

    def read_some(length)
      return nil if @left.zero?

      data = @connection.read_some([length, @left].min)
      @left -= data.bytesize
      data
    end
  end

  # A body that comes in chunks.
  class ChunkedBody
    def initialize(connection)
      @connection = connection
      @left = 0
      @complete = false
    end

    def read_some(length)
      next_chunk if @left.zero? && !@complete
      return nil if @complete

      data = @connection.read_some([length, @left].min)
      @left -= data.bytesize
      data
    end

    private

    def next_chunk
      @left = @connection.read_exactly(4).unpack1('V')
      @complete = @left.zero?
    end
  end
end
