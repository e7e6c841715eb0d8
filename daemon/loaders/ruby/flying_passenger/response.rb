# frozen_string_literal: true

require_relative 'connection'

module FlyingPassenger
  # One response: head and body as frames, as few writes as the app's body allows.
  class Response
    # The app's answer cannot be sent.
    class Invalid < StandardError; end

    FILE_PIECE = 64 * 1024
    HIJACK = 'rack.hijack'

    # 103: headers before the answer.
    def self.early_hints(connection, headers)
      head = head_of(103, headers)
      connection.write(connection.frame(Connection::INTERIM, 0, head.bytesize), head)
    end

    # `STATUS NUL name NUL value …`
    def self.head_of(status, headers)
      head = Integer(status).to_s.b
      separators = 0
      each_header(headers) do |name, value|
        head << 0 << binary(name) << 0 << binary(value)
        separators += 2
      end
      # One look at the whole finds what would be read as another header.
      if head.count("\0") != separators || head.match?(/[\r\n]/n)
        raise Invalid, 'a response header holds a line break or NUL'
      end

      head
    end

    # Rack 2 joins repeated headers with line breaks, Rack 3 has arrays.
    def self.each_header(headers)
      headers.each do |name, value|
        next if name == HIJACK

        values = value.is_a?(Array) ? value : value.to_s.split("\n", -1)
        values = [''] if values.empty?
        values.each { |one| yield name.to_s, one.to_s }
      end
    end

    def self.binary(text)
      text.ascii_only? || text.encoding == Encoding::BINARY ? text : text.b
    end

    def initialize(connection, method, status, headers)
      @connection = connection
      @head = self.class.head_of(status, headers)
      @partial_hijack = headers[HIJACK]
      @bodiless = method == 'HEAD' || status.to_i == 204 || status.to_i == 304
      @left = content_length(headers)
      @complete = false
      @hijacked = false
    end

    def complete? = @complete

    # The app keeps the connection.
    def hijacked? = @hijacked

    def send(body)
      if @partial_hijack then hand_over
      elsif @bodiless then finish_with(nil)
      elsif body.respond_to?(:to_ary) then finish_with(join(body.to_ary))
      elsif body.respond_to?(:to_path) && File.file?(body.to_path) then send_file(body.to_path)
      elsif body.respond_to?(:each) then send_each(body)
      elsif body.respond_to?(:call) then send_stream(body)
      else finish_with(body.to_s)
      end
    ensure
      body.close if body.respond_to?(:close)
    end

    # A part of the body, at once.
    def write_part(data)
      data = self.class.binary(data)
      return if data.empty?

      @left -= data.bytesize if @left
      raise Invalid, 'the body is longer than its Content-Length' if @left&.negative?

      write_frames(data, @left&.zero? ? Connection::FLAG_END : 0)
    end

    def finish
      finish_with(nil) unless @complete
    end

    private

    # Everything that is left, and the end, in one write.
    def finish_with(data)
      if data.nil? || data.empty?
        return if @complete

        @head ? write_head(Connection::FLAG_END) : write_frames(Connection::EMPTY, Connection::FLAG_END)
      else
        write_frames(self.class.binary(data), Connection::FLAG_END)
      end
      @complete = true
    end

    def write_frames(data, flags)
      header = @connection.frame(Connection::BODY, flags, data.bytesize)
      if @head
        @connection.write(@connection.frame(Connection::HEAD, 0, @head.bytesize), @head, header, data)
        @head = nil
      else
        @connection.write(header, data)
      end
      @complete = true if flags == Connection::FLAG_END
    end

    def write_head(flags)
      @connection.write(@connection.frame(Connection::HEAD, flags, @head.bytesize), @head)
      @head = nil
    end

    def send_each(body)
      body.each { |part| write_part(part) }
      finish
    end

    def send_file(path)
      File.open(path, 'rb') do |file|
        piece = String.new(capacity: FILE_PIECE)
        write_part(piece) while file.read(FILE_PIECE, piece)
      end
      finish
    end

    # Rack 3: the body writes to a stream itself.
    def send_stream(body)
      stream = Streaming.new(self)
      body.call(stream)
      finish
    end

    # Rack's partial hijack: after the head the app owns the connection.
    def hand_over
      write_head(Connection::FLAG_RAW)
      @complete = @hijacked = true
      @partial_hijack.call(@connection.socket)
    end

    def content_length(headers)
      value = headers['content-length'] || headers['Content-Length']
      value && !@bodiless ? Integer(value.to_s, 10) : nil
    rescue ArgumentError
      raise Invalid, 'Content-Length is no number'
    end

    def join(parts)
      parts.size == 1 ? parts[0] : parts.map { |part| self.class.binary(part) }.join
    end
  end
end
