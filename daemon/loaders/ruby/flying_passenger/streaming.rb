# frozen_string_literal: true

module FlyingPassenger
  # What a Rack 3 streaming body writes to, and reads the rest of the request's body from.
  class Streaming
    def initialize(response, input)
      @response = response
      @input = input
      @closed = false
    end

    def write(data)
      raise IOError, 'the stream is closed' if @closed

      data = data.to_s
      @response.write_part(data)
      data.bytesize
    end

    def <<(data)
      write(data)
      self
    end

    def read(*arguments)
      @input ? @input.read(*arguments) : nil
    end

    def flush = self

    def close_read
      @input = nil
    end

    def close_write
      close
    end

    def close(*)
      return if @closed

      @closed = true
      @response.finish
    end

    def closed? = @closed
  end
end
