# frozen_string_literal: true

module FlyingPassenger
  # Status and headers of a response as the protocol has them, and what they mean for the body.
  class ResponseHead
    HIJACK = 'rack.hijack'

    # `STATUS NUL name NUL value …`
    attr_reader :bytes
    attr_reader :status, :content_length, :hijack

    def initialize(status, headers)
      @status = status_code(status)
      @bytes = @status.to_s.b
      @separators = 0
      (headers || {}).each { |name, value| take(name, value) }
      # One look at the whole finds what would be read as another header.
      return unless @bytes.count("\0") != @separators || @bytes.match?(/[\r\n]/n)

      raise Response::Invalid, 'a response header contains a line break or NUL'
    end

    @warned = false

    # Values that Rack does not allow are accepted, as Passenger does, with one warning for each process.
    def self.warn_of(name, value)
      return if @warned

      @warned = true
      kind = value.nil? ? 'nil' : "a value of #{value.class}"
      warn("the app sets the response header #{name.inspect} to #{kind}, which Rack does not allow; " \
           "#{value.nil? ? 'the header is left out' : 'it is sent as a string'}. Further ones are not reported.")
    end

    private

    def status_code(status)
      code = status.is_a?(Integer) ? status : status.to_s.to_i
      raise Response::Invalid, "the status #{status.inspect} is not a number" if code.zero?

      code
    end

    # Rack 2 joins repeated headers with line breaks, Rack 3 has arrays.
    def take(name, value)
      name = name.to_s unless name.is_a?(String)
      case value
      when String then value.include?("\n") ? value.split("\n").each { |one| put(name, one) } : put(name, value)
      when Array then value.each { |one| put_lenient(name, one) }
      else name == HIJACK ? @hijack = value : put_lenient(name, value)
      end
    end

    def put_lenient(name, value)
      return put(name, value) if value.is_a?(String)

      self.class.warn_of(name, value)
      put(name, value.to_s) unless value.nil?
    end

    def put(name, value)
      @bytes << 0 << Response.binary(name) << 0 << Response.binary(value)
      @separators += 2
      @content_length = length_of(value) if name.length == 14 && name.casecmp?('content-length')
    end

    def length_of(value)
      Integer(value, 10)
    rescue ArgumentError
      raise Response::Invalid, 'Content-Length is not a number'
    end
  end
end
