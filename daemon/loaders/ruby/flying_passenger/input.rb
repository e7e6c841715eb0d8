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

    def gets(*, **) = nil
    def each(*) = block_given? ? self : enum_for(:each)
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

    # A line, as soon as it has come; arguments as of IO#gets.
    def gets(*arguments, **options)
      separator, limit = line_arguments(arguments)
      return +'' if limit&.zero?

      # A paragraph may begin with any number of line breaks.
      return receive_everything && @kept.gets(*arguments, **options) if separator.nil? && limit.nil? || separator == ''

      receive_line(separator&.b, limit) unless @complete
      @kept.gets(*arguments, **options)
    end

    def each(*arguments, **options)
      return enum_for(:each, *arguments, **options) unless block_given?

      while (line = gets(*arguments, **options))
        yield line
      end
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
      true
    end

    # Separator and limit, each of which may be given alone.
    def line_arguments(arguments)
      separator, limit = arguments
      return [$/, separator] if arguments.size == 1 && separator.is_a?(Integer)

      [arguments.empty? ? $/ : separator, limit]
    end

    # Receives until a line is complete at the position, or the body is.
    def receive_line(separator, limit)
      start = @kept.pos
      return receive_up_to(start + limit) if separator.nil?

      line = limit ? @kept.gets(separator, limit) : @kept.gets(separator)
      done = line && (line.end_with?(separator) || limit && line.bytesize >= limit)
      @kept.seek(start)
      return if done

      receive_separator(separator, limit && start + limit, start)
    end

    # What has been searched is not searched again.
    def receive_separator(separator, enough, searched)
      start = @kept.pos
      loop do
        @kept.seek(searched)
        rest = @kept.read.to_s
        received = searched + rest.bytesize
        @kept.seek(start)
        break if @complete || rest.include?(separator) || enough && received >= enough

        searched = [searched, received - separator.bytesize + 1].max
        receive_up_to(received + 1)
      end
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
