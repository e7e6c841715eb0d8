# frozen_string_literal: true

module FlyingPassenger
  # Serves the requests of one connection with native support. Where an object's function returns nothing of use, the
  # methods of RequestHandler do the same in Ruby.
  class NativeRequestHandler < RequestHandler
    def initialize(connection, app, multithread)
      super
      # What each environment has: names and values in turn.
      @constants = @rack_env.to_a.flatten(1).freeze
    end

    private

    def serve_one
      return super unless @connection.empty?

      UNDER_WAY.delete(self) if @multithread
      @env = nil
      received = Native.receive(@connection.socket, @constants)
      return false if received.nil?

      if received.is_a?(String)
        @connection.put_back(received)
        return super
      end
      UNDER_WAY[self] = true if @multithread
      answer(@env = received, NO_INPUT)
      !@hijacked
    end

    def environment(block)
      Native.environment(block, @constants) || super
    end

    def respond(env, input, status, headers, body)
      rest = Native.respond(@connection.socket, status, headers, body) unless env['REQUEST_METHOD'] == 'HEAD'
      return super if rest.nil?

      @connection.write(*rest) unless rest.equal?(true)
    end
  end
end
