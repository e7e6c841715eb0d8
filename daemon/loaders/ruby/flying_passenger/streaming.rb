# frozen_string_literal: true

module FlyingPassenger
  # What a Rack 3 streaming body writes to. The request's body was read by other means, so nothing can be read.
  class Streaming
    def initialize(response)
      @response = response
      @closed = false
    end

    def write(data)
      raise IOError, 'the stream is closed' if @closed

      @response.write_part(data.to_s)
      data.to_s.bytesize
    end

    def <<(data)
      write(data)
      self
    end

    def read(*) = nil
    def flush = self
    def close_read = nil

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
