# frozen_string_literal: true

require_relative 'connection'
require_relative 'response_head'
require_relative 'streaming'

module FlyingPassenger
  # One response: head and body as frames, as few writes as the app's body allows.
  class Response
    # The app's answer cannot be sent.
    class Invalid < StandardError; end

    FILE_PIECE = 64 * 1024

    # 103: headers before the answer.
    def self.early_hints(connection, headers)
      head = ResponseHead.new(103, headers).bytes
      connection.write(connection.frame(Connection::INTERIM, 0, head.bytesize), head)
    end

    def self.binary(text)
      text.ascii_only? || text.encoding == Encoding::BINARY ? text : text.b
    end

    def initialize(connection, method, status, headers)
      @connection = connection
      head = ResponseHead.new(status, headers)
      @head = head.bytes
      @partial_hijack = head.hijack
      @bodiless = method == 'HEAD' || head.status == 204 || head.status == 304
      @left = @bodiless ? nil : head.content_length
      @complete = false
      @hijacked = false
    end

    def complete? = @complete

    # The app keeps the connection.
    def hijacked? = @hijacked

    # Sends the body and closes it. `input` is what a streaming body may read from.
    def send(body, input = nil)
      if @partial_hijack then hand_over
      elsif @bodiless then finish_with(nil)
      elsif (parts = whole(body)) then finish_with(join(parts))
      elsif path?(body) then send_file(body.to_path)
      elsif body.respond_to?(:each) then send_each(body)
      elsif body.respond_to?(:call) then send_stream(body, input)
      else finish_with(body.to_s)
      end
    ensure
      close(body)
    end

    # A part of the body, at once.
    def write_part(data)
      data = self.class.binary(data.is_a?(String) ? data : data.to_s)
      return if data.empty?

      @left -= data.bytesize if @left
      raise Invalid, 'the body is longer than its Content-Length' if @left&.negative?

      write_frames(data, @left&.zero? ? Connection::FLAG_END : 0)
    end

    def finish
      finish_with(nil) unless @complete
    end

    private

    # All parts of a body that has them, or nil. Rack 3 has `to_ary` close the body, Rack 2 does not; where the body
    # has no `closed?`, `each` and `close` are used, so that it is closed once.
    def whole(body)
      return body if body.is_a?(Array)
      return nil unless body.respond_to?(:to_ary)

      body.to_ary if !body.respond_to?(:close) || body.respond_to?(:closed?)
    end

    def close(body)
      return unless body.respond_to?(:close)

      body.close unless body.respond_to?(:closed?) && body.closed?
    end

    def path?(body)
      body.respond_to?(:to_path) && (path = body.to_path) && File.file?(path)
    end

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

    # Rack 3: the body writes to a stream itself, and may keep the stream and close it later in its own thread; the
    # response ends when the call returns.
    def send_stream(body, input)
      stream = Streaming.new(self, input)
      body.call(stream)
      finish
    end

    # Rack's partial hijack: after the head the app owns the connection.
    def hand_over
      write_head(Connection::FLAG_RAW)
      @complete = @hijacked = true
      @partial_hijack.call(@connection.socket)
    rescue StandardError
      @connection.close
      raise
    end

    def join(parts)
      return text(parts[0]) if parts.size == 1

      parts.map { |part| self.class.binary(text(part)) }.join
    end

    # A String is sent as it is, whatever its class makes of `to_s`, as native support does.
    def text(part) = part.is_a?(String) ? part : part.to_s
  end
end
