# frozen_string_literal: true

require_relative 'input'
require_relative 'response'

module FlyingPassenger
  # Serves the requests of one connection: environment in, app called, response out.
  class RequestHandler
    NO_INPUT = NoInput.new
    # A splat of more than this could exceed the stack.
    MAX_SPLAT = 8192

    RACK_ENV = {
      'rack.version' => [1, 3].freeze,
      'rack.errors' => $stderr,
      'rack.multithread' => false,
      'rack.multiprocess' => true,
      'rack.run_once' => false,
      'rack.hijack?' => true,
      'rack.url_scheme' => 'http',
      # That of a request without body; the place among the others does not depend on it.
      'rack.input' => NO_INPUT
    }.freeze
    RACK_ENV_OF_THREADS = RACK_ENV.merge('rack.multithread' => true).freeze
    HTTPS = %w[on yes 1].freeze
    # The body type of a message that is not a request.
    OUT_OF_BAND = 3
    NO_CONTENT = '204'
    # Those that have a request which is not answered yet, in all threads.
    UNDER_WAY = {}.compare_by_identity

    def initialize(connection, app, multithread)
      @connection = connection
      @app = app
      @multithread = multithread
      @rack_env = (multithread ? RACK_ENV_OF_THREADS : RACK_ENV).merge(callables).freeze
      @hijacked = false
      # Of the request that is being handled.
      @env = @response = nil
    end

    # Until the connection ends or the app takes it.
    def serve
      nil while !@hijacked && serve_one
    rescue Connection::Lost
      # The client went away, or the daemon did.
      nil
    ensure
      UNDER_WAY.delete(self)
      @connection.close unless @hijacked
    end

    private

    # False when the connection has ended.
    def serve_one
      UNDER_WAY.delete(self) if @multithread
      @env = nil
      block, kind, length = @connection.read_request
      return false if block.nil?

      UNDER_WAY[self] = true if @multithread
      return work_out_of_band if kind == OUT_OF_BAND

      @env = env = environment(block)
      env['rack.input'] = input = input_of(kind, length)
      answer(env, input)
      return false if @hijacked

      input.drain unless input.equal?(NO_INPUT)
      true
    end

    # Runs work that the app has postponed until no request waits. A failure is only logged.
    def work_out_of_band
      begin
        PhusionPassenger.call_event(:oob_work)
      rescue StandardError => e
        warn("oob_work: #{e.full_message(highlight: false, order: :top)}")
      end
      @connection.write(@connection.frame(Connection::HEAD, Connection::FLAG_END, NO_CONTENT.bytesize), NO_CONTENT)
      true
    end

    def environment(block)
      pairs = block.split("\0", -1)
      env = pairs.size <= MAX_SPLAT ? Hash[*pairs] : pairs.each_slice(2).to_h
      env.update(@rack_env)
      # Rack 3: it must equal the other.
      env['HTTP_VERSION'] = env['SERVER_PROTOCOL']
      env['rack.url_scheme'] = 'https' if HTTPS.include?(env['HTTPS'])
      env['rack.response_finished'] = []
      env['rack.after_reply'] = []
      env
    end

    def input_of(kind, length)
      case kind
      when 0 then NO_INPUT
      when 1 then length.zero? ? NO_INPUT : Input.new(SizedBody.new(@connection, length))
      else Input.new(ChunkedBody.new(@connection))
      end
    end

    # Made once for each connection: an environment is made for each request.
    def callables
      {
        'rack.hijack' => -> { hijack },
        'rack.early_hints' => ->(headers) { Response.early_hints(@connection, headers) }
      }
    end

    def hijack
      raise IOError, 'rack.hijack was called after the response' if @env.nil?

      @hijacked = true
      @env['rack.hijack_io'] = @connection.hijack
    end

    def answer(env, input)
      error = @response = nil
      status, headers, body = @app.call(env)
      return close(body) if @hijacked

      respond(env, input, status, headers, body)
    rescue Connection::Lost => e
      error = e
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException
      raise if e.is_a?(SystemExit) || e.is_a?(SignalException) || e.is_a?(NoMemoryError)

      error = e
      failed(e)
    ensure
      @hijacked ||= @response&.hijacked?
      finished(env, status, headers, error)
    end

    # A body is closed even if its head cannot be sent.
    def respond(env, input, status, headers, body)
      begin
        @response = Response.new(@connection, env['REQUEST_METHOD'], status, headers)
      rescue StandardError
        close(body)
        raise
      end
      @response.send(body, input)
    end

    # Logs the full error and sends a summary to the daemon; the connection can be used again.
    def failed(error)
      warn("#{error.full_message(highlight: false, order: :top)}")
      return if @hijacked || @response&.complete?

      text = "#{error.class}: #{error.message}".b.byteslice(0, 4096)
      @connection.write(@connection.frame(Connection::ERROR, Connection::FLAG_END, text.bytesize), text)
    end

    # Also for a connection that the app has taken: what the callbacks give back is not to stay with this thread.
    def finished(env, status, headers, error)
      # Rack wants the former in reverse order.
      each_callback(env, 'rack.response_finished', :reverse_each) { |one| one.call(env, status, headers, error) }
      each_callback(env, 'rack.after_reply', :each, &:call)
    end

    # A failure is the log's alone.
    def each_callback(env, name, order)
      callbacks = env[name]
      return unless callbacks.is_a?(Array) && !callbacks.empty?

      callbacks.public_send(order) do |callback|
        yield callback
      rescue StandardError => e
        warn("#{name}: #{e.full_message(highlight: false, order: :top)}")
      end
    end

    def close(body)
      body.close if body.respond_to?(:close)
    end
  end
end
